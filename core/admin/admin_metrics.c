#include "admin_metrics.h"

#include "json.h"
#include "step.h"

#include <string.h>

#define PREFIX    "moongate_"
#define RULE_NAME sizeof(((struct counter_slab *)0)->rules[0].name)
#define LABEL     (2 * RULE_NAME + 1)

struct output {
	struct buf *out;
	const struct admin_slab *slabs;
	unsigned nslabs;
	bool as_json, full;
};

/* Who counts what: a zero is worth a line only there. */
static const struct home {
	const char *prefix, *role;
} homes[] = {
	{ "smtp_", "edge" },      { "policy_reloads", "master" },  { "policy_", "edge" },
	{ "policy_", "deliver" }, { "spool_commit_wait", "edge" }, { "spool_", "spool" },
	{ "queue_", "spool" },    { "delivery_", "deliver" },      { "role_", "master" },
	{ "events_", "control" },
};

static const char *const outcome_names[RULE_OUTCOMES] = {
	[RULE_RUNS] = "run",
	[RULE_REFUSED] = "refused",
	[RULE_ERRORS] = "error",
};

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static bool is_home(const char *metric, const char *role)
{
	for (size_t i = 0; i < COUNT(homes); i++)
		if (str_has_prefix(str_of(metric), str_of(homes[i].prefix)) &&
		    strcmp(role, homes[i].role) == 0)
			return true;
	return false;
}

/* ---- single numbers ------------------------------------------------------------------------- */

static void head(struct output *o, const struct counter_info *info, const char *type)
{
	if (!o->as_json)
		o->full |= !buf_printf(o->out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n",
				       info->name, info->help, info->name, type);
}

static void json_begin(struct output *o, struct json *j, const char *metric,
		       const struct admin_slab *s)
{
	json_init(j, o->out);
	json_open(j, NULL, '{');
	json_str(j, "metric", str_of(metric));
	json_str(j, "role", str_of(s->role));
	json_int(j, "index", s->index);
}

static void json_end(struct output *o, struct json *j)
{
	json_close(j, '}');
	o->full |= j->full || !buf_byte(o->out, '\n');
}

static void number(struct output *o, const char *metric, const struct admin_slab *s, uint64_t value)
{
	struct json j;

	if (value == 0 && !is_home(metric, s->role))
		return;
	if (!o->as_json) {
		o->full |= !buf_printf(o->out, PREFIX "%s{role=\"%s\",index=\"%u\"} %llu\n", metric,
				       s->role, s->index, (unsigned long long)value);
		return;
	}
	json_begin(o, &j, metric, s);
	json_int(&j, "value", (int64_t)value);
	json_end(o, &j);
}

static void numbers(struct output *o)
{
	for (unsigned c = 0; c < COUNTERS; c++) {
		head(o, &counter_info[c], "counter");
		for (unsigned i = 0; i < o->nslabs; i++)
			number(o, counter_info[c].name, &o->slabs[i],
			       load(&o->slabs[i].slab->counters[c]));
	}
	for (unsigned g = 0; g < GAUGES; g++) {
		head(o, &gauge_info[g], "gauge");
		for (unsigned i = 0; i < o->nslabs; i++)
			number(o, gauge_info[g].name, &o->slabs[i],
			       load(&o->slabs[i].slab->gauges[g]));
	}
}

/* ---- histograms ----------------------------------------------------------------------------- */

struct times {
	uint64_t upto[HISTOGRAM_BUCKETS]; /* what took at most the bucket's bound */
	uint64_t sum_us;
};

/* times_of - count is what the buckets say, so that the copy agrees with itself although the
 * original moves on */
static struct times times_of(const struct counter_slab *slab, unsigned h)
{
	struct times t;
	uint64_t sum = 0;

	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
		t.upto[b] = sum += load(&slab->histograms[h].buckets[b]);
	t.sum_us = load(&slab->histograms[h].sum_us);
	return t;
}

static void histogram_text(struct output *o, const char *metric, const struct admin_slab *s,
			   const struct times *t)
{
	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
		uint64_t bound = histogram_bound(b);

		o->full |= !buf_printf(o->out, PREFIX "%s_bucket{role=\"%s\",index=\"%u\",le=\"",
				       metric, s->role, s->index);
		if (bound == UINT64_MAX)
			o->full |= !buf_add(o->out, STR("+Inf"));
		else
			o->full |= !buf_printf(o->out, "%llu.%06llu",
					       (unsigned long long)(bound / 1000000),
					       (unsigned long long)(bound % 1000000));
		o->full |= !buf_printf(o->out, "\"} %llu\n", (unsigned long long)t->upto[b]);
	}
	o->full |= !buf_printf(o->out, PREFIX "%s_sum{role=\"%s\",index=\"%u\"} %llu.%06llu\n",
			       metric, s->role, s->index, (unsigned long long)(t->sum_us / 1000000),
			       (unsigned long long)(t->sum_us % 1000000));
	o->full |=
		!buf_printf(o->out, PREFIX "%s_count{role=\"%s\",index=\"%u\"} %llu\n", metric,
			    s->role, s->index, (unsigned long long)t->upto[HISTOGRAM_BUCKETS - 1]);
}

/* quantile - the bound of the bucket it falls into; what is beyond all bounds is given as the last
 * bound */
static double quantile(const struct times *t, unsigned percent)
{
	uint64_t all = t->upto[HISTOGRAM_BUCKETS - 1],
		 rank = all / 100 * percent + all % 100 * percent / 100;
	unsigned b = 0;

	while (b < HISTOGRAM_BUCKETS - 2 && t->upto[b] <= rank)
		b++;
	return (double)histogram_bound(b) / 1e6;
}

static void histogram_json(struct output *o, const char *metric, const struct admin_slab *s,
			   const struct times *t)
{
	struct json j;

	json_begin(o, &j, metric, s);
	json_int(&j, "count", (int64_t)t->upto[HISTOGRAM_BUCKETS - 1]);
	json_num(&j, "sum", (double)t->sum_us / 1e6);
	json_num(&j, "p50", quantile(t, 50));
	json_num(&j, "p90", quantile(t, 90));
	json_num(&j, "p99", quantile(t, 99));
	json_end(o, &j);
}

static void histograms(struct output *o)
{
	for (unsigned h = 0; h < HISTOGRAMS; h++) {
		head(o, &histogram_info[h], "histogram");
		for (unsigned i = 0; i < o->nslabs; i++) {
			struct times t = times_of(o->slabs[i].slab, h);

			if (t.upto[HISTOGRAM_BUCKETS - 1] == 0)
				continue;
			if (o->as_json)
				histogram_json(o, histogram_info[h].name, &o->slabs[i], &t);
			else
				histogram_text(o, histogram_info[h].name, &o->slabs[i], &t);
		}
	}
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* label_of - a rule's name as a label's value: printable ASCII, backslash and quote escaped */
static const char *label_of(const char name[RULE_NAME + 1], char text[LABEL])
{
	size_t n = 0;

	for (; *name; name++) {
		if (*name == '\\' || *name == '"')
			text[n++] = '\\';
		text[n++] = *name >= ' ' && *name < 0x7f ? *name : '?';
	}
	text[n] = '\0';
	return text;
}

/* rule - its name is copied before it is looked at: the writer may be changing it */
static void rule(struct output *o, const struct admin_slab *s, unsigned r,
		 const struct counter_info *info)
{
	char name[RULE_NAME + 1] = { 0 }, label[LABEL];
	struct json j;

	memcpy(name, s->slab->rules[r].name, RULE_NAME);
	if (!name[0])
		return;
	for (unsigned k = 0; k < RULE_OUTCOMES; k++) {
		uint64_t value = load(&s->slab->rules[r].counts[k]);

		if (o->as_json) {
			json_begin(o, &j, info->name, s);
			json_str(&j, "rule", str_of(name));
			json_str(&j, "outcome", str_of(outcome_names[k]));
			json_int(&j, "value", (int64_t)value);
			json_end(o, &j);
		} else {
			o->full |= !buf_printf(
				o->out,
				PREFIX
				"%s{role=\"%s\",index=\"%u\",rule=\"%s\",outcome=\"%s\"} %llu\n",
				info->name, s->role, s->index, label_of(name, label),
				outcome_names[k], (unsigned long long)value);
		}
	}
}

static void rules(struct output *o)
{
	static const struct counter_info info = { "policy_rule_total",
						  "runs of a policy rule, by what came of them" };

	head(o, &info, "counter");
	for (unsigned i = 0; i < o->nslabs; i++)
		for (unsigned r = 0; r < COUNTER_RULES; r++)
			rule(o, &o->slabs[i], r, &info);
}

static bool write_all(struct output o)
{
	static const struct counter_info build = { "build_info", "the version that runs" };

	head(&o, &build, "gauge");
	if (!o.as_json)
		o.full |= !buf_add(o.out,
				   STR(PREFIX "build_info{version=\"" MOONGATE_VERSION "\"} 1\n"));
	numbers(&o);
	histograms(&o);
	rules(&o);
	return !o.full;
}

bool admin_metrics_text(struct buf *out, const struct admin_slab *slabs, unsigned nslabs)
{
	return write_all((struct output){ .out = out, .slabs = slabs, .nslabs = nslabs });
}

bool admin_metrics_json(struct buf *out, const struct admin_slab *slabs, unsigned nslabs)
{
	return write_all(
		(struct output){ .out = out, .slabs = slabs, .nslabs = nslabs, .as_json = true });
}
