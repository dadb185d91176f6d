#include "master.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "master_upgrade.h"

#define WORDS_MAX  16
#define ANSWER_MAX (256 * 1024)

struct request {
	struct master *master;
	uint64_t tag;
	bool json;
	struct str words[WORDS_MAX];
	unsigned nwords;
};

void master_answer(struct master *m, uint64_t tag, unsigned code, struct str text)
{
	struct master_role *control = master_role_find(m, ROLE_CONTROL, 0);

	while (control && text.n > ROLE_TEXT) {
		(void)master_role_tell(control,
				       &(struct role_message){ .word = WORD_ANSWER,
							       .a = tag,
							       .b = 255,
							       .text = str_head(text, ROLE_TEXT) });
		text = str_drop(text, ROLE_TEXT);
	}
	if (control)
		(void)master_role_tell(
			control, &(struct role_message){
					 .word = WORD_ANSWER, .a = tag, .b = code, .text = text });
}

/* ---- status ---------------------------------------------------------------------------------- */

static const char *const state_name[] = {
	[MASTER_ROLE_DOWN] = "down",
	[MASTER_ROLE_STARTING] = "starting",
	[MASTER_ROLE_WAITING] = "waiting",
	[MASTER_ROLE_READY] = "ready",
};

static uint64_t gauge_sum(const struct master *m, enum gauge g)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->nroles; i++)
		sum += __atomic_load_n(&m->slabs[i].gauges[g], __ATOMIC_RELAXED);
	return sum;
}

static uint64_t counter_sum(const struct master *m, enum counter c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i <= m->nroles; i++)
		sum += __atomic_load_n(&m->slabs[i].counters[c], __ATOMIC_RELAXED);
	return sum;
}

static void status_json(const struct master *m, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_open(&j, NULL, '{');
	json_str(&j, "phase", str_of(master_phase_name[m->phase]));
	json_str(&j, "version", STR(MOONGATE_VERSION));
	json_bool(&j, "last_known_good", m->refusal_n > 0);
	json_str(&j, "upgrade", str_of(master_upgrade_stage(m)));
	json_int(&j, "pid", getpid());
	json_time(&j, "since", m->started_us);
	json_int(&j, "generation", m->history[0]->number);
	json_str(&j, "hash", str_of(m->history[0]->hash));
	json_int(&j, "sessions", (int64_t)gauge_sum(m, GAUGE_SESSIONS_OPEN));
	json_int(&j, "queued", (int64_t)gauge_sum(m, GAUGE_QUEUE_MESSAGES));
	json_int(&j, "accepted", (int64_t)counter_sum(m, COUNTER_MESSAGES_ACCEPTED));
	json_int(&j, "delivered", (int64_t)counter_sum(m, COUNTER_DELIVERED));
	json_open(&j, "listeners", '[');
	for (unsigned i = 0; i < m->nlisteners; i++)
		json_str(&j, NULL, str_of(m->listeners[i].address));
	json_close(&j, ']');
	json_open(&j, "roles", '[');
	for (unsigned i = 0; i < m->nroles; i++) {
		const struct master_role *r = &m->roles[i];

		json_open(&j, NULL, '{');
		json_str(&j, "name", str_of(role_name[r->kind]));
		json_int(&j, "index", r->index);
		json_int(&j, "pid", r->pid);
		json_str(&j, "state", str_of(state_name[r->state]));
		json_int(&j, "restarts", r->restarts);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	buf_byte(out, '\n');
}

static void status_text(const struct master *m, struct buf *out)
{
	buf_printf(out, "moongate %s: %s, generation %u/%.8s, pid %d, up %llu s\n",
		   MOONGATE_VERSION, master_phase_name[m->phase], m->history[0]->number,
		   m->history[0]->hash, getpid(),
		   (unsigned long long)((clock_wall() - m->started_us) / CLOCK_SECOND));
	if (m->refusal_n)
		buf_printf(out,
			   "THE RULES ARE THE LAST KNOWN GOOD ONES, not those of the "
			   "settings:\n%.*s\n",
			   (int)m->refusal_n, m->refusal);
	for (unsigned i = 0; i < m->nlisteners; i++)
		buf_printf(out, "listening on %s\n", m->listeners[i].address);
	buf_printf(out, "sessions %llu, queued %llu, accepted %llu, delivered %llu\n",
		   (unsigned long long)gauge_sum(m, GAUGE_SESSIONS_OPEN),
		   (unsigned long long)gauge_sum(m, GAUGE_QUEUE_MESSAGES),
		   (unsigned long long)counter_sum(m, COUNTER_MESSAGES_ACCEPTED),
		   (unsigned long long)counter_sum(m, COUNTER_DELIVERED));
	buf_printf(out, "%-10s %-9s %8s %s\n", "role", "state", "pid", "restarts");
	for (unsigned i = 0; i < m->nroles; i++) {
		const struct master_role *r = &m->roles[i];
		char name[32];

		snprintf(name, sizeof name, "%s %u", role_name[r->kind], r->index);
		buf_printf(out, "%-10s %-9s %8d %u\n", name, state_name[r->state], r->pid,
			   r->restarts);
	}
}

static void do_status(struct request *q)
{
	struct buf out;

	buf_init(&out, ANSWER_MAX);
	if (q->json)
		status_json(q->master, &out);
	else
		status_text(q->master, &out);
	master_answer(q->master, q->tag, 0, buf_str(&out));
	buf_fini(&out);
}

/* ---- policy ---------------------------------------------------------------------------------- */

static void one_generation(struct buf *out, const struct master_snapshot *s, bool active,
			   bool as_json)
{
	struct json j;

	if (!as_json) {
		buf_printf(out, "%-6u %s %s", s->number, s->hash, active ? "active" : "earlier");
		buf_printf(out, s->of == s->number ? "\n" : " (again %u)\n", s->of);
		return;
	}
	json_init(&j, out);
	json_open(&j, NULL, '{');
	json_int(&j, "generation", s->number);
	json_str(&j, "hash", str_of(s->hash));
	json_bool(&j, "active", active);
	json_int(&j, "of", s->of);
	json_time(&j, "since", s->wall_us);
	json_close(&j, '}');
	buf_byte(out, '\n');
}

static void do_list(struct request *q)
{
	struct buf out;

	buf_init(&out, ANSWER_MAX);
	for (unsigned i = 0; i < MASTER_HISTORY && q->master->history[i]; i++)
		one_generation(&out, q->master->history[i], i == 0, q->json);
	master_answer(q->master, q->tag, 0, buf_str(&out));
	buf_fini(&out);
}

static void do_order(struct request *q)
{
	struct str order = snapshot_find(&q->master->history[0]->map, SNAPSHOT_ORDER, STR(""));
	struct buf out;
	struct json j;

	if (!q->json) {
		master_answer(q->master, q->tag, 0, order);
		return;
	}
	buf_init(&out, ANSWER_MAX);
	json_init(&j, &out);
	json_open(&j, NULL, '{');
	json_int(&j, "generation", q->master->history[0]->number);
	json_str(&j, "order", order);
	json_close(&j, '}');
	buf_byte(&out, '\n');
	master_answer(q->master, q->tag, 0, buf_str(&out));
	buf_fini(&out);
}

static void do_reload(struct request *q)
{
	master_reload_begin(q->master, q->tag, true);
}

static void do_rollback(struct request *q)
{
	master_rollback_begin(q->master, q->tag, true);
}

static void do_upgrade(struct request *q)
{
	master_upgrade_begin(q->master, q->tag, true);
}

static void do_drain(struct request *q)
{
	master_answer(q->master, q->tag, 0, STR("draining\n"));
	master_drain(q->master);
}

static void do_carry(struct request *q)
{
	master_operator_comes(q->master, q->tag, q->nwords > 2 ? q->words[2] : STR_NONE);
}

static void do_leave(struct request *q)
{
	master_operator_leaves(q->master);
}

static const struct verb {
	const char *noun, *verb;
	void (*run)(struct request *);
} verbs[] = {
	{ "status", NULL, do_status },         { "reload", NULL, do_reload },
	{ "upgrade", NULL, do_upgrade },       { "drain", NULL, do_drain },
	{ "policy", "list", do_list },         { "policy", "order", do_order },
	{ "policy", "rollback", do_rollback }, { "spool", "carry", do_carry },
	{ "spool", "leave", do_leave },
};

static void split(struct request *q, struct str text)
{
	struct str word;

	while (text.n && q->nwords < WORDS_MAX) {
		if (!str_take(&text, '\0', &word)) {
			word = text;
			text.n = 0;
		}
		if (str_eq(word, STR("--json")))
			q->json = true;
		else
			q->words[q->nwords++] = word;
	}
}

void master_request(struct master *m, const struct role_message *request)
{
	struct request q = { .master = m, .tag = request->a };

	split(&q, request->text);
	for (size_t i = 0; i < COUNT(verbs); i++) {
		const struct verb *v = &verbs[i];

		if (q.nwords < 1 || !str_eq(q.words[0], str_of(v->noun)))
			continue;
		if (v->verb && (q.nwords < 2 || !str_eq(q.words[1], str_of(v->verb))))
			continue;
		v->run(&q);
		return;
	}
	master_answer(m, q.tag, 64, STR("the master knows no such request\n"));
}
