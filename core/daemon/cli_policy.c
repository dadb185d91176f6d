/* moongate policy test|run: a policy tried out, without a gateway. */
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "loader.h"
#include "policy.h"

#define ERRORS_MAX  (1024 * 1024)
#define TOLD_MAX    (16 * 1024 * 1024)
#define TRIAL_ARENA ((size_t)256 * 1024 * 1024)

/* ---- test ------------------------------------------------------------------------------------ */

int cli_policy_test(const struct cli *c)
{
	struct buf told, errors;
	struct trial_count n;
	bool is_good;

	buf_init(&told, TOLD_MAX);
	buf_init(&errors, ERRORS_MAX);
	n = loader_test(c->settings, &told, &errors);
	is_good = n.failed == 0 && (n.passed > 0 || buf_len(&errors) == 0);
	if (c->json)
		(void)printf("{\"passed\":%u,\"failed\":%u}\n", n.passed, n.failed);
	else
		(void)printf("%.*s%u passed, %u failed\n", STR_ARG(buf_str(&told)), n.passed,
			     n.failed);
	(void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&told);
	buf_fini(&errors);
	return is_good ? 0 : EX_CONFIG;
}

/* ---- run ------------------------------------------------------------------------------------- */

struct run {
	struct trial_case c;
	struct arena arena;
	struct buf message;
	bool json;
	struct buf out;
};

static bool read_message(struct run *r, const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char bytes[16384];
	size_t n;
	bool ok = f != NULL;

	while (ok && (n = fread(bytes, 1, sizeof bytes, f)) > 0)
		ok = buf_add(&r->message, (struct str){ bytes, n });
	ok = ok && !ferror(f);
	if (f && f != stdin)
		(void)fclose(f);
	r->c.message = buf_str(&r->message);
	return ok;
}

static struct str *value_of(struct run *r, const char *option)
{
	if (strcmp(option, "--ip") == 0)
		return &r->c.ip;
	if (strcmp(option, "--helo") == 0)
		return &r->c.helo;
	if (strcmp(option, "--listener") == 0)
		return &r->c.listener;
	if (strcmp(option, "--from") == 0)
		return &r->c.sender;
	return r->c.nrcpts < TRIAL_RCPTS ? &r->c.rcpts[r->c.nrcpts++] : NULL;
}

/* take_words - the file, and options with a value behind each; NULL or what is wrong */
static const char *take_words(struct run *r, const struct cli *c, const char **file)
{
	for (unsigned i = 0; i < c->nargs; i++) {
		struct str *value;

		if (strncmp(c->args[i], "--", 2) != 0) {
			if (*file)
				return "one message at a time";
			*file = c->args[i];
			continue;
		}
		value = value_of(r, c->args[i]);
		if (!value || i + 1 == c->nargs)
			return "an option needs a value behind it";
		*value = str_of(c->args[++i]);
	}
	if (!*file)
		return "which message?";
	return r->c.nrcpts > 0 ? NULL : "to whom? give --rcpt ADDRESS";
}

static void put_decision(struct buf *b, const struct trial_decision *d)
{
	const struct verdict *v = &d->verdict;

	(void)buf_printf(b, "  %s", policy_hook_name[d->hook]);
	if (!v->rule.n) {
		(void)buf_add(b, STR(": no opinion\n"));
		return;
	}
	(void)buf_printf(b, ": %s by %.*s", verdict_name[v->kind], STR_ARG(v->rule));
	if (v->code)
		(void)buf_printf(b, ": %u %s %.*s", v->code, v->esc, STR_ARG(v->text));
	if (v->reason.n)
		(void)buf_printf(b, " (%.*s)", STR_ARG(v->reason));
	(void)buf_add(b, v->failed ? STR(" [the rule failed]\n") : STR("\n"));
}

static void put_step(struct run *r, const struct trial_outcome *o, unsigned i)
{
	const struct trial_reply *reply = &o->replies[i];

	(void)buf_printf(&r->out, "%s", trial_stage_name[reply->stage]);
	if (reply->stage == TRIAL_RCPT)
		(void)buf_printf(&r->out, " %.*s", STR_ARG(r->c.rcpts[reply->rcpt]));
	if (reply->stage == TRIAL_MAIL)
		(void)buf_printf(&r->out, " %.*s", STR_ARG(r->c.sender));
	(void)buf_byte(&r->out, '\n');
	for (unsigned k = 0; k < o->ndecisions; k++)
		if (o->decisions[k].before == i)
			put_decision(&r->out, &o->decisions[k]);
	(void)buf_printf(&r->out, "  -> %.*s\n", STR_ARG(reply->text));
}

static const char *const state_names[] = { "queue", "hold", "quarantine" };

static void put_copy(struct run *r, const struct trial_copy *copy)
{
	const struct envelope *e = &copy->envelope;

	(void)buf_printf(&r->out, "%s from <%.*s>", state_names[copy->state], STR_ARG(e->sender));
	if (e->rule.n)
		(void)buf_printf(&r->out, " by %.*s", STR_ARG(e->rule));
	if (e->reason.n)
		(void)buf_printf(&r->out, " (%.*s)", STR_ARG(e->reason));
	(void)buf_byte(&r->out, '\n');
	for (unsigned i = 0; i < e->nrcpts; i++)
		(void)buf_printf(&r->out, "  to <%.*s>%s%.*s\n", STR_ARG(e->rcpts[i].address),
				 e->rcpts[i].route.n ? " by " : "", STR_ARG(e->rcpts[i].route));
	(void)buf_printf(&r->out, "%.*s", STR_ARG(copy->header));
}

static void put_text(struct run *r, const struct trial_outcome *o)
{
	for (unsigned i = 0; i < o->nreplies; i++)
		put_step(r, o, i);
	for (unsigned i = 0; i < o->ncopies; i++)
		put_copy(r, &o->copies[i]);
	if (o->is_late)
		(void)buf_add(&r->out, STR("the session did not end\n"));
}

static void decision_json(struct json *j, const struct trial_decision *d)
{
	json_open(j, NULL, '{');
	json_str(j, "hook", str_of(policy_hook_name[d->hook]));
	json_str(j, "verdict", str_of(verdict_name[d->verdict.kind]));
	if (d->rcpt.n)
		json_str(j, "rcpt", d->rcpt);
	if (d->verdict.rule.n)
		json_str(j, "rule", d->verdict.rule);
	if (d->verdict.code)
		json_int(j, "code", d->verdict.code);
	if (d->verdict.text.n)
		json_str(j, "text", d->verdict.text);
	if (d->verdict.reason.n)
		json_str(j, "reason", d->verdict.reason);
	json_bool(j, "failed", d->verdict.failed);
	json_close(j, '}');
}

static void copy_json(struct json *j, const struct trial_copy *copy)
{
	json_open(j, NULL, '{');
	json_str(j, "state", str_of(state_names[copy->state]));
	json_str(j, "sender", copy->envelope.sender);
	json_open(j, "rcpts", '[');
	for (unsigned i = 0; i < copy->envelope.nrcpts; i++)
		json_str(j, NULL, copy->envelope.rcpts[i].address);
	json_close(j, ']');
	json_str(j, "header", copy->header);
	json_close(j, '}');
}

static void put_json(struct run *r, const struct trial_outcome *o)
{
	struct json j;

	json_init(&j, &r->out);
	json_open(&j, NULL, '{');
	json_open(&j, "replies", '[');
	for (unsigned i = 0; i < o->nreplies; i++) {
		json_open(&j, NULL, '{');
		json_str(&j, "stage", str_of(trial_stage_name[o->replies[i].stage]));
		json_str(&j, "reply", o->replies[i].text);
		json_open(&j, "decisions", '[');
		for (unsigned k = 0; k < o->ndecisions; k++)
			if (o->decisions[k].before == i)
				decision_json(&j, &o->decisions[k]);
		json_close(&j, ']');
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_open(&j, "copies", '[');
	for (unsigned i = 0; i < o->ncopies; i++)
		copy_json(&j, &o->copies[i]);
	json_close(&j, ']');
	json_close(&j, '}');
	(void)buf_byte(&r->out, '\n');
}

static void with_trial(void *owner, struct trial *trial)
{
	static struct trial_outcome o; /* too big for a stack */
	struct run *r = owner;

	trial_run(trial, &r->c, &r->arena, &o);
	if (r->json)
		put_json(r, &o);
	else
		put_text(r, &o);
}

int cli_policy_run(const struct cli *c)
{
	struct run r = { .json = c->json };
	const char *file = NULL, *wrong = take_words(&r, c, &file);
	struct buf errors;
	bool ok = !wrong;

	buf_init(&r.message, TRIAL_ARENA);
	buf_init(&r.out, TOLD_MAX);
	buf_init(&errors, ERRORS_MAX);
	arena_init(&r.arena, TRIAL_ARENA);
	if (ok && !read_message(&r, file)) {
		wrong = "the message cannot be read";
		ok = false;
	}
	if (ok)
		ok = loader_try(c->settings, with_trial, &r, &errors);
	(void)printf("%.*s", STR_ARG(buf_str(&r.out)));
	(void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
	if (wrong)
		(void)fprintf(stderr, "moongate: %s\n", wrong);
	buf_fini(&r.message);
	buf_fini(&r.out);
	buf_fini(&errors);
	arena_fini(&r.arena);
	return ok ? 0 : wrong ? EX_USAGE : EX_CONFIG;
}
