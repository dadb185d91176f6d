#include "settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "settings_schema.h"
#include "step.h"

#define MEMORY (1024 * 1024)

static struct str domains[] = { { "example.com", 11 }, { "example.org", 11 } };
static struct str all[] = { { "*", 1 } };
static struct settings_pair routes[] = {
	{ { "*", 1 }, { "smtp:127.0.0.1:25", 17 } },
	{ { "example.com", 11 }, { "lmtp:unix:/run/l m tp", 21 } },
};
static struct settings_pair maps[] = { { { "recipients", 10 }, { "/etc/a file", 11 } } };

/* Every setting differs from its neighbours, so that a value in the wrong place is seen. */
static void fill(struct settings *s)
{
	struct fault why;

	memset(s, 0, sizeof *s);
	for (unsigned i = 0; i < settings_schema_count; i++) {
		const struct setting *row = &settings_schema[i];

		if (row->type == SETTING_COUNT || row->type == SETTING_SIZE ||
		    row->type == SETTING_DURATION)
			assert_int_equal(setting_number(row, s, row->least + (i % 2 ? 0 : 1), &why),
					 0);
		else if (row->preset)
			assert_int_equal(setting_parse(row, s, str_of(row->preset), &why), 0);
	}
	s->hostname = STR("mx.example.org");
	s->listen[0] = (struct settings_listener){ .name = STR("127.0.0.1:2525"),
						   .address = STR("127.0.0.1:2525") };
	s->listen[1] = (struct settings_listener){ .name = STR("six"),
						   .address = STR("[::1]:2525"),
						   .tls = SMTP_TLS_REQUIRED,
						   .floor = TLS_FLOOR_1_3,
						   .clients = TLS_CLIENTS_REQUEST,
						   .ciphers = STR("ECDHE+AESGCM") };
	s->nlisten = 2;
	s->domains = domains;
	s->ndomains = COUNT(domains);
	s->relay_domains = all;
	s->nrelay_domains = COUNT(all);
	s->relay_to = STR("127.0.0.1:2526");
	s->route = routes;
	s->nroute = COUNT(routes);
	s->maps = maps;
	s->nmaps = COUNT(maps);
	s->routing_characters = true;
}

static void write_to(struct buf *b, const struct settings *s)
{
	buf_init(b, SETTINGS_CANONICAL);
	assert_true(settings_write(s, b));
}

static void what_is_written_reads_back(void **state)
{
	struct settings s, back;
	struct buf first, second;
	struct fault why = { 0 };
	struct arena arena;

	(void)state;
	arena_init(&arena, MEMORY);
	fill(&s);
	write_to(&first, &s);
	if (settings_read(&back, buf_str(&first), &arena, &why) < 0)
		fail_msg("%s", why.text);
	write_to(&second, &back);
	assert_true(str_eq(buf_str(&first), buf_str(&second)));
	assert_int_equal(back.nlisten, 2);
	assert_true(str_eq(back.listen[1].name, STR("six")));
	assert_int_equal(back.listen[0].tls, SMTP_TLS_OFF);
	assert_int_equal(back.listen[1].tls, SMTP_TLS_REQUIRED);
	assert_int_equal(back.listen[1].floor, TLS_FLOOR_1_3);
	assert_int_equal(back.listen[1].clients, TLS_CLIENTS_REQUEST);
	assert_true(str_eq(back.listen[1].ciphers, STR("ECDHE+AESGCM")));
	assert_true(str_eq(back.route[1].value, STR("lmtp:unix:/run/l m tp")));
	assert_true(back.routing_characters);
	assert_int_equal(back.limits.message, s.limits.message);
	assert_int_equal(back.watchdog, s.watchdog);
	buf_fini(&first);
	buf_fini(&second);
	arena_fini(&arena);
}

/* is_settled - what was read is written as something that reads and writes as itself */
static bool is_settled(const struct settings *s)
{
	struct settings back;
	struct buf once, twice;
	struct arena arena;
	struct fault why;
	bool same;

	arena_init(&arena, MEMORY);
	write_to(&once, s);
	buf_init(&twice, SETTINGS_CANONICAL);
	same = settings_read(&back, buf_str(&once), &arena, &why) == 0 &&
	       settings_write(&back, &twice) && str_eq(buf_str(&once), buf_str(&twice));
	buf_fini(&once);
	buf_fini(&twice);
	arena_fini(&arena);
	return same;
}

/* The reader is given what a loader wrote; a hijacked loader must not get past it. */
static void a_changed_byte_is_another_setting_or_an_error(void **state)
{
	static const char tries[] = { ' ', '\n', '\0', '0', '9', 'x', '"', 0x7f };
	struct settings s, back;
	struct fault why;
	struct buf b;

	(void)state;
	fill(&s);
	write_to(&b, &s);
	for (size_t i = 0; i < buf_len(&b) * COUNT(tries); i++) {
		char *at = b.p + b.head + i / COUNT(tries), kept = *at;
		struct arena arena;

		arena_init(&arena, MEMORY);
		*at = tries[i % COUNT(tries)];
		if (settings_read(&back, buf_str(&b), &arena, &why) == 0)
			assert_true(is_settled(&back));
		*at = kept;
		arena_fini(&arena);
	}
	buf_fini(&b);
}

static void every_cut_is_an_error(void **state)
{
	struct settings s, back;
	struct fault why;
	struct buf b;

	(void)state;
	fill(&s);
	write_to(&b, &s);
	for (size_t cut = 0; cut < buf_len(&b); cut++) {
		struct arena arena;

		arena_init(&arena, MEMORY);
		assert_int_equal(settings_read(&back, str_head(buf_str(&b), cut), &arena, &why),
				 -1);
		arena_fini(&arena);
	}
	buf_fini(&b);
}

#define SIX                                                                                        \
	"listen six [::1]:2525 tls=required tls_floor=1.3 client_certificates=request "            \
	"tls_ciphers=ECDHE+AESGCM\n"

static const struct {
	const char *remove, *add, *complaint;
} wrong[] = {
	{ SIX, "listen six [::1]:2525 tls=ssl\n", "settings: listen: tls: expected \"starttls\"" },
	{ SIX, "listen six [::1]:2525 tls\n", "settings: listen: expected key=value" },
	{ SIX, "listen six [::1]:2525 smtp=on\n", "settings: listen: a listener has no `smtp`" },
	{ "limits.hops 6\n", "", "settings: limits.hops: it is missing" },
	{ "limits.hops 6\n", "limits.hops 6\nlimits.hops 6\n",
	  "settings: limits.command_line: it is missing" },
	{ "limits.hops 6\n", "limits.hops 4\n",
	  "settings: limits.hops: must be between 5 and 1000" },
	{ "limits.hops 6\n", "limits.hops six\n",
	  "settings: limits.hops: expected a whole number, found \"six\"" },
	{ SIX, "listen six nonsense\n", "settings: listen: \"nonsense\" is not an address" },
	{ SIX, "listen six\n", "settings: listen: expected a name and a value" },
	{ SIX, "listen s:x [::1]:2525\n", "settings: listen: \"s:x\" is not a name" },
	{ "domains example.org\n", "domains example..org\n",
	  "settings: domains: \"example..org\" is not a domain name" },
	{ "domains example.org\n", "domains *\n", "settings: domains: \"*\" is not a domain name" },
	{ "route * smtp:127.0.0.1:25\n", "route * example.org\n",
	  "settings: route: \"example.org\" is not a next hop" },
	{ "routing_characters true\n", "routing_characters yes\n",
	  "settings: routing_characters: expected true or false" },
	{ "events.level info\n", "events.level loud\n",
	  "settings: events.level: expected \"debug\"" },
};

static void a_wrong_line_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct str remove = str_of(wrong[i].remove), add = str_of(wrong[i].add), all_text;
		struct settings s, back;
		struct fault why = { 0 };
		struct arena arena;
		struct buf b, changed;
		const char *at;

		arena_init(&arena, MEMORY);
		fill(&s);
		s.limits.hops = 6;
		write_to(&b, &s);
		assert_true(buf_byte(&b, '\0'));
		all_text = str_head(buf_str(&b), buf_len(&b) - 1);
		at = strstr(all_text.p, remove.p);
		assert_non_null(at);
		buf_init(&changed, SETTINGS_CANONICAL);
		assert_true(buf_add(&changed, str_head(all_text, (size_t)(at - all_text.p))) &&
			    buf_add(&changed, add) &&
			    buf_add(&changed,
				    str_drop(all_text, (size_t)(at - all_text.p) + remove.n)));
		assert_int_equal(settings_read(&back, buf_str(&changed), &arena, &why), -1);
		if (strncmp(why.text, wrong[i].complaint, strlen(wrong[i].complaint)) != 0)
			fail_msg("%s\n not %s", why.text, wrong[i].complaint);
		buf_fini(&b);
		buf_fini(&changed);
		arena_fini(&arena);
	}
}

static void lists_have_their_bound(void **state)
{
	struct settings s, back;
	struct fault why = { 0 };
	struct arena arena;
	struct buf b;

	(void)state;
	arena_init(&arena, MEMORY);
	fill(&s);
	for (unsigned i = 0; i < SETTINGS_LISTENERS; i++)
		s.listen[i] = s.listen[0];
	s.nlisten = SETTINGS_LISTENERS;
	write_to(&b, &s);
	assert_int_equal(settings_read(&back, buf_str(&b), &arena, &why), 0);
	assert_int_equal(back.nlisten, SETTINGS_LISTENERS);
	buf_fini(&b);
	buf_init(&b, SETTINGS_CANONICAL);
	assert_true(buf_add(&b, STR("hostname mx\nuser \n")));
	for (unsigned i = 0; i <= SETTINGS_LISTENERS; i++)
		assert_true(buf_add(&b, STR("listen 127.0.0.1:25 127.0.0.1:25\n")));
	assert_int_equal(settings_read(&back, buf_str(&b), &arena, &why), -1);
	assert_string_equal(why.text, "settings: listen: more than 32 values");
	buf_fini(&b);
	arena_fini(&arena);
}

/* One change to each setting in turn: only what the schema marks needs a restart. */
static void a_restart_is_needed_as_the_schema_says(void **state)
{
	(void)state;
	for (unsigned i = 0; i < settings_schema_count; i++) {
		const struct setting *row = &settings_schema[i];
		struct settings before, after;
		struct buf old, new;
		struct str got;

		fill(&before);
		after = before;
		if (setting_is_list(row->type))
			*setting_count(row, &after) = 0;
		else if (row->type == SETTING_FLAG)
			*(bool *)setting_field(row, &after) ^= true;
		else if (row->type == SETTING_COUNT)
			(*(uint32_t *)setting_field(row, &after))++;
		else if (row->type == SETTING_SIZE || row->type == SETTING_DURATION)
			(*(uint64_t *)setting_field(row, &after))++;
		else
			*(struct str *)setting_field(row, &after) = STR("changed");
		write_to(&old, &before);
		write_to(&new, &after);
		got = settings_restart(buf_str(&old), buf_str(&new));
		assert_true(str_eq(got, row->restart ? str_of(row->path) : STR("")));
		got = settings_restart(buf_str(&new), buf_str(&old));
		assert_true(str_eq(got, row->restart ? str_of(row->path) : STR("")));
		assert_int_equal(settings_restart(buf_str(&old), buf_str(&old)).n, 0);
		buf_fini(&old);
		buf_fini(&new);
	}
}

static void what_a_restart_is_for(void **state)
{
	static const char *const restart[] = { "user", "control", "spool", "processes.edges",
					       "store.segment" };
	static const char *const reload[] = {
		"listen",  "limits.message", "timeouts.command", "retry.first", "maps", "policy",
		"domains", "route",          "relay.domains",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(restart); i++)
		assert_true(setting_find(str_of(restart[i]))->restart);
	for (size_t i = 0; i < COUNT(reload); i++)
		assert_false(setting_find(str_of(reload[i]))->restart);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(a_changed_byte_is_another_setting_or_an_error),
		cmocka_unit_test(every_cut_is_an_error),
		cmocka_unit_test(a_wrong_line_is_named),
		cmocka_unit_test(lists_have_their_bound),
		cmocka_unit_test(a_restart_is_needed_as_the_schema_says),
		cmocka_unit_test(what_a_restart_is_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
