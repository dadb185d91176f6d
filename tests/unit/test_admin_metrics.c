#include "admin_metrics.h"

#include "check.h"

static struct counter_slab edge, spool, master;
static const struct admin_slab slabs[] = { { "edge", 0, &edge },
					   { "spool", 0, &spool },
					   { "master", 0, &master } };

static int clean(void **state)
{
	(void)state;
	memset(&edge, 0, sizeof edge);
	memset(&spool, 0, sizeof spool);
	memset(&master, 0, sizeof master);
	return 0;
}

/* text_of - with a NUL behind it */
static const char *text_of(struct buf *b, bool as_json)
{
	buf_init(b, ADMIN_METRICS);
	assert_true((as_json ? admin_metrics_json : admin_metrics_text)(b, slabs, COUNT(slabs)));
	assert_true(buf_byte(b, '\0'));
	return buf_str(b).p;
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("%s is not in it", line);
}

static void has_not(const char *text, const char *line)
{
	if (strstr(text, line))
		fail_msg("%s is in it", line);
}

TEST(a_counter_is_shown_with_its_role)
{
	const char *text;
	struct buf b;

	edge.counters[COUNTER_SESSIONS] = 17;
	edge.gauges[GAUGE_SESSIONS_OPEN] = 3;
	text = text_of(&b, false);
	has(text, "# HELP moongate_smtp_sessions_total inbound sessions begun\n"
		  "# TYPE moongate_smtp_sessions_total counter\n"
		  "moongate_smtp_sessions_total{role=\"edge\",index=\"0\"} 17\n");
	has(text, "# TYPE moongate_smtp_sessions_open "
		  "gauge\nmoongate_smtp_sessions_open{role=\"edge\",index=\"0\"} 3\n");
	has(text, "moongate_build_info{version=\"" MOONGATE_VERSION "\"} 1\n");
	buf_fini(&b);
}

TEST(a_zero_is_shown_where_it_means_something)
{
	const char *text;
	struct buf b;

	spool.counters[COUNTER_SESSIONS] = 0;
	spool.counters[COUNTER_EVENTS_DROPPED] = 2;
	text = text_of(&b, false);
	has(text, "moongate_smtp_messages_accepted_total{role=\"edge\",index=\"0\"} 0\n");
	has(text, "moongate_spool_commits_total{role=\"spool\",index=\"0\"} 0\n");
	has(text, "moongate_policy_reloads_total{role=\"master\",index=\"0\"} 0\n");
	has_not(text, "moongate_spool_commits_total{role=\"edge\"");
	has_not(text, "moongate_smtp_messages_accepted_total{role=\"spool\"");
	has(text, "moongate_events_dropped_total{role=\"spool\",index=\"0\"} 2\n");
	buf_fini(&b);
}

TEST(every_slab_is_shown)
{
	const char *text;
	struct buf b;

	for (size_t i = 0; i < COUNT(slabs); i++) {
		struct counter_slab *slab = (struct counter_slab *)(uintptr_t)slabs[i].slab;

		slab->counters[COUNTER_COMMANDS] = i + 1;
		slab->gauges[GAUGE_GENERATION] = i + 1;
		slab->histograms[HISTOGRAM_LOOP_LAG].buckets[0] = i + 1;
		str_copy(slab->rules[1].name, sizeof slab->rules[1].name, STR("rule"));
		slab->rules[1].counts[RULE_ERRORS] = i + 1;
	}
	text = text_of(&b, false);
	has(text, "moongate_smtp_commands_total{role=\"master\",index=\"0\"} 3\n");
	has(text, "moongate_policy_generation{role=\"master\",index=\"0\"} 3\n");
	has(text, "moongate_loop_lag_seconds_count{role=\"edge\",index=\"0\"} 1\n");
	has(text, "moongate_loop_lag_seconds_count{role=\"master\",index=\"0\"} 3\n");
	has(text, "{role=\"master\",index=\"0\",rule=\"rule\",outcome=\"error\"} 3\n");
	buf_fini(&b);
}

TEST(a_histogram_is_cumulative_and_ends_in_infinity)
{
	const char *text;
	struct buf b;

	edge.histograms[HISTOGRAM_COMMIT_WAIT].buckets[0] = 2;
	edge.histograms[HISTOGRAM_COMMIT_WAIT].buckets[3] = 5;
	edge.histograms[HISTOGRAM_COMMIT_WAIT].buckets[HISTOGRAM_BUCKETS - 1] = 1;
	edge.histograms[HISTOGRAM_COMMIT_WAIT].sum_us = 1500000;
	edge.histograms[HISTOGRAM_COMMIT_WAIT].count =
		999; /* a writer in between: what the buckets say counts */
	text = text_of(&b, false);
	has(text, "# TYPE moongate_spool_commit_wait_seconds histogram\n"
		  "moongate_spool_commit_wait_seconds_bucket{role=\"edge\",index=\"0\",le=\"0."
		  "000008\"} 2\n");
	has(text, "_bucket{role=\"edge\",index=\"0\",le=\"0.000064\"} 7\n");
	has(text, "_bucket{role=\"edge\",index=\"0\",le=\"+Inf\"} 8\n"
		  "moongate_spool_commit_wait_seconds_sum{role=\"edge\",index=\"0\"} 1.500000\n"
		  "moongate_spool_commit_wait_seconds_count{role=\"edge\",index=\"0\"} 8\n");
	has_not(text, "moongate_spool_sync_seconds_count");
	buf_fini(&b);
}

static void set_name(unsigned rule, struct str name)
{
	str_copy(edge.rules[rule].name, sizeof edge.rules[rule].name, name);
}

TEST(a_hostile_rule_name_cannot_break_a_line)
{
	const char *text;
	struct buf b;

	set_name(0, STR("known-recipients"));
	edge.rules[0].counts[RULE_RUNS] = 5;
	edge.rules[0].counts[RULE_REFUSED] = 2;
	set_name(1, STR("a\"} 1\nevil{x=\"\\"));
	memset(edge.rules[2].name, '\\', sizeof edge.rules[2].name); /* no NUL in it */
	memset(edge.rules[3].name, 0xff, sizeof edge.rules[3].name);
	text = text_of(&b, false);
	has(text, "moongate_policy_rule_total{role=\"edge\",index=\"0\",rule=\"known-recipients\","
		  "outcome=\"run\"} 5\n");
	has(text, "rule=\"known-recipients\",outcome=\"refused\"} 2\n");
	has(text, "rule=\"known-recipients\",outcome=\"error\"} 0\n");
	has(text, "rule=\"a\\\"} 1?evil{x=\\\"\\\\\",outcome=\"run\"} 0\n");
	has_not(text, "\nevil");
	has_not(text, "\xff");
	buf_fini(&b);
}

TEST(every_line_of_text_is_a_comment_or_a_sample)
{
	struct str rest, line;
	struct buf b;

	for (size_t i = 0; i < sizeof edge; i++)
		((unsigned char *)&edge)[i] = (unsigned char)(i * 31);
	(void)text_of(&b, false);
	rest = str_head(buf_str(&b), buf_len(&b) - 1);
	for (size_t i = 0; str_take(&rest, '\n', &line); i++) {
		ptrdiff_t space = str_rfind(line, ' ');

		if (str_has_prefix(line, STR("# HELP ")) || str_has_prefix(line, STR("# TYPE ")))
			continue;
		CHECK(i, str_has_prefix(line, STR("moongate_")) && space > 0 &&
				 line.p[space - 1] == '}');
	}
	assert_int_equal(rest.n, 0);
	buf_fini(&b);
}

TEST(as_json_each_sample_is_one_line)
{
	const char *text;
	struct buf b;

	edge.counters[COUNTER_SESSIONS] = 17;
	edge.histograms[HISTOGRAM_COMMIT_WAIT].buckets[4] = 99;
	edge.histograms[HISTOGRAM_COMMIT_WAIT].buckets[9] = 1;
	edge.histograms[HISTOGRAM_COMMIT_WAIT].sum_us = 250000;
	set_name(0, STR("a\"b"));
	text = text_of(&b, true);
	has(text,
	    "{\"metric\":\"smtp_sessions_total\",\"role\":\"edge\",\"index\":0,\"value\":17}\n");
	has(text, "{\"metric\":\"spool_commit_wait_seconds\",\"role\":\"edge\",\"index\":0,"
		  "\"count\":100,\"sum\":0.25,"
		  "\"p50\":1.28e-4,\"p90\":1.28e-4,\"p99\":0.004096}\n");
	has(text, "\"rule\":\"a\\\"b\",\"outcome\":\"run\",\"value\":0}\n");
	has_not(text, "# HELP");
	buf_fini(&b);
}

TEST(a_full_buffer_is_said)
{
	struct buf b;

	for (size_t max = 0; max < 2000; max += 97) {
		buf_init(&b, max);
		CHECK(max, !admin_metrics_text(&b, slabs, COUNT(slabs)));
		buf_fini(&b);
		buf_init(&b, max);
		CHECK(max, !admin_metrics_json(&b, slabs, COUNT(slabs)));
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_counter_is_shown_with_its_role, clean),
		cmocka_unit_test_setup(a_zero_is_shown_where_it_means_something, clean),
		cmocka_unit_test_setup(every_slab_is_shown, clean),
		cmocka_unit_test_setup(a_histogram_is_cumulative_and_ends_in_infinity, clean),
		cmocka_unit_test_setup(a_hostile_rule_name_cannot_break_a_line, clean),
		cmocka_unit_test_setup(every_line_of_text_is_a_comment_or_a_sample, clean),
		cmocka_unit_test_setup(as_json_each_sample_is_one_line, clean),
		cmocka_unit_test_setup(a_full_buffer_is_said, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
