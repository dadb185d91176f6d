#include "settings_schema.h"

#include "address.h"
#include "clock.h"
#include "net_conn.h"
#include "policy_edit.h"
#include "settings_unit.h"
#include "step.h"

#include <stddef.h>
#include <string.h>

#define AT(field)          offsetof(struct settings, field), 0
#define LIST(field, count) offsetof(struct settings, field), offsetof(struct settings, count)

#define KIB        UINT64_C(1024)
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)
#define TIB        (1024 * GIB)
#define SECONDS(n) ((n)*CLOCK_SECOND)
#define DAYS(n)    SECONDS((n)*UINT64_C(86400))
#define RESTART    true
#define RELOAD     false

/* clang-format off */
const struct setting settings_schema[] = {
	{ "hostname", SETTING_HOST, AT(hostname), NULL, 0, 0, RELOAD,
	  "our name in greeting, EHLO and Received; otherwise the host's name" },
	{ "user", SETTING_TEXT, AT(user), NULL, 0, 0, RESTART,
	  "who the roles run as when started by root; otherwise the owner of the spool directory, or nobody" },
	{ "listen", SETTING_LISTENERS, LIST(listen, nlisten), NULL, 0, SETTINGS_LISTENERS, RELOAD,
	  "addresses to accept mail on: \"127.0.0.1:25\", \"[::1]:25\", \"unix:/path\", or a table with address, name, "
	  "tls (\"starttls\", \"required\", \"implicit\", \"off\"), tls_floor, tls_ciphers, client_certificates" },
	{ "control", SETTING_PATH, AT(control), "/run/moongate/control.sock", 0, 0, RESTART,
	  "path of the control socket" },
	{ "spool", SETTING_PATH, AT(spool), "/var/spool/moongate", 0, 0, RESTART,
	  "directory of the spool" },
	{ "spool_key", SETTING_KEY, AT(spool_key), NULL, 0, 0, RESTART,
	  "file of its master keys (`moongate spool key new`), or \"credential:NAME\"; without it the spool is plain" },
	{ "spool_sealed", SETTING_FLAG, AT(spool_sealed), "true", 0, 0, RESTART,
	  "seal new messages when there is a spool_key; false: only open the old ones" },
	{ "policy", SETTING_PATH, AT(policy), NULL, 0, 0, RELOAD,
	  "the policy's entry file; every *.lua below its folder belongs to the policy" },
	{ "domains", SETTING_DOMAINS, LIST(domains, ndomains), NULL, 0, SETTINGS_DOMAINS, RELOAD,
	  "our own domains: their postmaster is always accepted" },
	{ "relay.domains", SETTING_DOMAINS_ALL, LIST(relay_domains, nrelay_domains), NULL, 0, SETTINGS_DOMAINS, RELOAD,
	  "domains accepted unless a policy refuses; \"*\" for all, where every listener is local" },
	{ "relay.to", SETTING_HOP, AT(relay_to), NULL, 0, 0, RELOAD,
	  "next hop of the relay domains: \"192.0.2.1:25\", \"lmtp:unix:/path\", \"maildir:/path\"" },
	{ "route", SETTING_ROUTES, LIST(route, nroute), NULL, 0, SETTINGS_ROUTES, RELOAD,
	  "next hop by domain; \"*\" for the others" },
	{ "maps", SETTING_PATHS, LIST(maps, nmaps), NULL, 0, SETTINGS_MAPS, RELOAD,
	  "files that a policy may look things up in, by name" },
	{ "tls.certificates", SETTING_CERTIFICATES, LIST(tls.certificates, tls.ncertificates), NULL, 0, TLS_IDENTITIES, RELOAD,
	  "certificates (PEM, with the chain behind it) and keys, { cert=, key=, ocsp= }; chosen by name, else the first" },
	{ "tls.authorities", SETTING_PATH, AT(tls.authorities), NULL, 0, 0, RELOAD,
	  "certificates (PEM) of those who sign client certificates" },
	{ "tls.warn", SETTING_DURATION, AT(tls.warn), "14d", 0, DAYS(365), RELOAD,
	  "how long before a certificate ends warnings begin" },
	{ "processes.edges", SETTING_COUNT, AT(edges), NULL, 1, 64, RESTART,
	  "processes that accept mail; otherwise as many as cores" },
	{ "processes.delivers", SETTING_COUNT, AT(delivers), NULL, 1, 32, RESTART,
	  "processes that deliver mail; otherwise half as many as cores" },
	{ "limits.connections", SETTING_COUNT, AT(limits.connections), "4096", 1, 100000, RELOAD,
	  "inbound connections at once, per edge process" },
	{ "limits.recipients", SETTING_COUNT, AT(limits.recipients), "1000", 1, 1000, RELOAD,
	  "recipients of one message (RFC 5321 4.5.3.1.8 asks for 100)" },
	{ "limits.errors", SETTING_COUNT, AT(limits.errors), "20", 1, 10000, RELOAD,
	  "errors of one session, then 421" },
	{ "limits.refusals", SETTING_COUNT, AT(limits.refusals), "100", 1, 100000, RELOAD,
	  "senders and recipients refused for good in one session, then 421" },
	{ "limits.junk", SETTING_COUNT, AT(limits.junk), "100", 1, 100000, RELOAD,
	  "commands of one session that bring no mail nearer (NOOP, RSET, VRFY...); a message makes up" },
	{ "limits.commands", SETTING_COUNT, AT(limits.commands), "10000", 10, 10000000, RELOAD,
	  "commands of one session" },
	{ "limits.messages", SETTING_COUNT, AT(limits.messages), "1000", 1, 1000000, RELOAD,
	  "messages of one session" },
	{ "limits.hops", SETTING_COUNT, AT(limits.hops), "50", 5, 1000, RELOAD,
	  "Received fields, beyond which a message loops" },
	{ "limits.command_line", SETTING_COUNT, AT(limits.command_line), "2048", 512, 16384, RELOAD,
	  "bytes of a command line with its CRLF" },
	{ "limits.data_line", SETTING_COUNT, AT(limits.data_line), "65536", 1000, 1048576, RELOAD,
	  "bytes of a line of a message with its CRLF" },
	{ "limits.message", SETTING_SIZE, AT(limits.message), "50MiB", 64 * KIB, 4 * GIB, RELOAD,
	  "bytes of a message" },
	{ "limits.memory", SETTING_SIZE, AT(limits.memory), "64MiB", MIB, 16 * GIB, RELOAD,
	  "bytes of bodies held in memory, per edge process" },
	{ "routing_characters", SETTING_FLAG, AT(routing_characters), "false", 0, 0, RELOAD,
	  "accept %, ! and @ in local parts" },
	{ "timeouts.handshake", SETTING_DURATION, AT(timeouts.handshake), "30s", SECONDS(1), SECONDS(600), RELOAD,
	  "a whole handshake of TLS" },
	{ "timeouts.command", SETTING_DURATION, AT(timeouts.command), "5m", SECONDS(1), SECONDS(3600), RELOAD,
	  "waiting for a command (RFC 5321 4.5.3.2.7)" },
	{ "timeouts.data", SETTING_DURATION, AT(timeouts.data), "3m", SECONDS(1), SECONDS(3600), RELOAD,
	  "waiting for more of a message" },
	{ "timeouts.session", SETTING_DURATION, AT(timeouts.session), "1h", SECONDS(10), DAYS(1), RELOAD,
	  "a whole session" },
	{ "timeouts.commit", SETTING_DURATION, AT(timeouts.commit), "30s", SECONDS(1), SECONDS(600), RELOAD,
	  "waiting for a message to be on disk, then 451" },
	{ "retry.first", SETTING_DURATION, AT(retry.first), "5m", SECONDS(1) / 10, DAYS(1), RELOAD,
	  "until the second attempt; each further wait is longer" },
	{ "retry.longest", SETTING_DURATION, AT(retry.longest), "4h", SECONDS(1) / 10, DAYS(7), RELOAD,
	  "the longest wait between two attempts" },
	{ "retry.expire", SETTING_DURATION, AT(retry.expire), "5d", SECONDS(1), DAYS(60), RELOAD,
	  "until a message is given up, with a bounce" },
	{ "retry.connect", SETTING_DURATION, AT(retry.connect), "0s", 0, DAYS(1), RELOAD,
	  "the first wait when nobody could be reached; 0: retry.first" },
	{ "retry.broken", SETTING_DURATION, AT(retry.broken), "0s", 0, DAYS(1), RELOAD,
	  "the first wait when the connection broke or the peer fell silent; 0: retry.first" },
	{ "retry.greylist", SETTING_DURATION, AT(retry.greylist), "0s", 0, DAYS(1), RELOAD,
	  "the first wait of a greylisted recipient, never cut short; 0: retry.first" },
	{ "retry.rate", SETTING_DURATION, AT(retry.rate), "0s", 0, DAYS(1), RELOAD,
	  "the first wait after 421 or 4.7.x: too much, too fast; 0: three times retry.first" },
	{ "retry.policy", SETTING_DURATION, AT(retry.policy), "0s", 0, DAYS(1), RELOAD,
	  "the first wait when our own policy deferred; 0: retry.first" },
	{ "retry.concurrency_least", SETTING_COUNT, AT(retry.concurrency_least), "1", 1, 10000, RELOAD,
	  "attempts at once that a destination keeps however often it refuses; a dead one gets one" },
	{ "retry.concurrency", SETTING_COUNT, AT(retry.concurrency), "20", 1, 10000, RELOAD,
	  "attempts at once, per destination, at most: it begins with 5 and grows with success" },
	{ "retry.total", SETTING_COUNT, AT(retry.total), "500", 1, 100000, RELOAD,
	  "attempts at once, per deliver process" },
	{ "quarantine.bytes", SETTING_SIZE, AT(quarantine.bytes), "1GiB", 0, TIB, RELOAD,
	  "bytes of quarantined messages at most; when it is full, `quarantine` becomes 452" },
	{ "quarantine.ttl", SETTING_DURATION, AT(quarantine.ttl), "30d", SECONDS(60), DAYS(3650), RELOAD,
	  "how long a quarantined message is kept where its policy says nothing" },
	{ "store.segment", SETTING_SIZE, AT(store.segment), "128MiB", 256 * KIB, GIB, RESTART,
	  "bytes of one segment of the spool" },
	{ "store.segments", SETTING_COUNT, AT(store.segments), "64", 4, 65000, RESTART,
	  "segments at most" },
	{ "store.reserve", SETTING_SIZE, AT(store.reserve), "256MiB", 0, TIB, RESTART,
	  "bytes of the disk kept free: below that, 452" },
	{ "store.gather", SETTING_DURATION, AT(store.gather), "2ms", 0, SECONDS(1) / 10, RESTART,
	  "how long a commit waits for company when many sessions are sending" },
	{ "store.slots", SETTING_COUNT, AT(store.slots), "4096", 1, 65000, RESTART,
	  "big messages at once" },
	{ "events.to", SETTING_EVENTS, AT(events.to), "stdout", 0, 0, RELOAD,
	  "\"stdout\", \"syslog\" (\"syslog:/path\" for another socket), \"none\" or \"file:PATH\"" },
	{ "events.level", SETTING_LEVEL, AT(events.level), "info", 0, 0, RELOAD,
	  "\"debug\", \"info\", \"warn\" or \"error\"" },
	{ "budget.cpu", SETTING_DURATION, AT(budget.cpu), "100ms", SECONDS(1) / 100, SECONDS(10), RELOAD,
	  "CPU time that one run of a policy handler may use" },
	{ "budget.memory", SETTING_SIZE, AT(budget.memory), "64MiB", MIB, 4 * GIB, RELOAD,
	  "bytes of a policy's state, per process" },
	{ "budget.load", SETTING_DURATION, AT(budget.load), "2s", SECONDS(1) / 10, SECONDS(60), RELOAD,
	  "CPU time to load a policy" },
	{ "drain", SETTING_DURATION, AT(drain), "30s", 0, SECONDS(3600), RELOAD,
	  "how long a stop waits for what runs" },
	{ "watchdog", SETTING_DURATION, AT(watchdog), "30s", SECONDS(1), SECONDS(3600), RELOAD,
	  "a role that stalls longer is replaced" },
};
/* clang-format on */

const unsigned settings_schema_count = COUNT(settings_schema);

const struct setting *setting_find(struct str path)
{
	for (unsigned i = 0; i < COUNT(settings_schema); i++)
		if (str_eq(path, str_of(settings_schema[i].path)))
			return &settings_schema[i];
	return NULL;
}

/* group_of - "limits" of "limits.message"; empty for a setting at the top */
static struct str group_of(const char *path)
{
	struct str rest = str_of(path), group;

	return str_take(&rest, '.', &group) ? group : STR_NONE;
}

bool setting_is_group(struct str path)
{
	for (unsigned i = 0; i < COUNT(settings_schema); i++)
		if (path.n && str_eq(path, group_of(settings_schema[i].path)))
			return true;
	return false;
}

/* setting_nearest - compared as a whole, and by its last word alone, which finds `limits.timeout`
 * and a forgotten group */
struct str setting_nearest(struct str path)
{
	struct str_near whole = { path, 4, STR_NONE };
	struct str_near last = { str_drop(path, (size_t)(str_rfind(path, '.') + 1)), 2, STR_NONE };

	if (path.n <= 4)
		whole.distance = 3;
	for (unsigned i = 0; i < COUNT(settings_schema); i++) {
		struct str candidate = str_of(settings_schema[i].path),
			   group = group_of(settings_schema[i].path);
		struct str tail = str_drop(candidate, group.n ? group.n + 1 : 0);
		unsigned before = last.distance;

		str_near_try(&whole, candidate);
		str_near_try(&whole, group);
		str_near_try(&last, tail);
		if (last.distance < before)
			last.found = candidate;
	}
	return whole.found.n ? whole.found : last.found;
}

bool setting_is_list(enum setting_type type)
{
	return type >= SETTING_DOMAINS && type <= SETTING_LISTENERS;
}

const char *setting_expected(enum setting_type type)
{
	static const char *const expected[SETTING_TYPES] = {
		[SETTING_TEXT] = "a string",
		[SETTING_HOST] = "a string with a host name",
		[SETTING_PATH] = "a string with a path",
		[SETTING_KEY] = "a string with a path, or \"credential:NAME\"",
		[SETTING_HOP] = "a string with a next hop, like \"192.0.2.1:25\"",
		[SETTING_EVENTS] =
			"\"stdout\", \"syslog\", \"syslog:/path\", \"none\" or \"file:PATH\"",
		[SETTING_LEVEL] = "\"debug\", \"info\", \"warn\" or \"error\"",
		[SETTING_FLAG] = "true or false",
		[SETTING_COUNT] = "a whole number",
		[SETTING_SIZE] = "a size like \"25MiB\", or a number of bytes",
		[SETTING_DURATION] = "a duration like \"5m\" or \"1h30m\", or a number of seconds",
		[SETTING_DOMAINS] = "a list of domain names",
		[SETTING_DOMAINS_ALL] = "a list of domain names, or \"*\"",
		[SETTING_ROUTES] = "a table of domains and next hops",
		[SETTING_PATHS] = "a table of names and paths",
		[SETTING_CERTIFICATES] = "a list of { cert =, key = }",
		[SETTING_LISTENERS] = "a list of addresses, or of { address =, name = }",
	};

	return expected[type];
}

void *setting_field(const struct setting *row, struct settings *s)
{
	return (char *)s + row->at;
}

const void *setting_value(const struct setting *row, const struct settings *s)
{
	return (const char *)s + row->at;
}

unsigned *setting_count(const struct setting *row, struct settings *s)
{
	return (unsigned *)(void *)((char *)s + row->count_at);
}

/* ---- single values -------------------------------------------------------------------------- */

int setting_text_check(struct str text, struct fault *why)
{
	if (text.n > SETTINGS_TEXT)
		return fault_set(why, "must have at most %d bytes, has %zu", SETTINGS_TEXT, text.n);
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
			return fault_set(why, "contains the control character 0x%02x",
					 (unsigned char)text.p[i]);
	return 0;
}

static int out_of_bounds(const struct setting *row, struct fault *why)
{
	char least[SETTINGS_UNIT_TEXT], most[SETTINGS_UNIT_TEXT];

	if (row->type == SETTING_SIZE)
		return fault_set(why, "must be between %s and %s",
				 settings_unit_size_text(row->least, least),
				 settings_unit_size_text(row->most, most));
	if (row->type == SETTING_DURATION)
		return fault_set(why, "must be between %s and %s",
				 settings_unit_duration_text(row->least, least),
				 settings_unit_duration_text(row->most, most));
	return fault_set(why, "must be between %llu and %llu", (unsigned long long)row->least,
			 (unsigned long long)row->most);
}

int setting_number(const struct setting *row, struct settings *s, uint64_t value, struct fault *why)
{
	void *field = setting_field(row, s);

	if (value < row->least || value > row->most)
		return out_of_bounds(row, why);
	if (row->type == SETTING_COUNT)
		*(uint32_t *)field = (uint32_t)value;
	else
		*(uint64_t *)field = value;
	return 0;
}

static int unexpected(const struct setting *row, struct str text, struct fault *why)
{
	return fault_set(why, "expected %s, found \"%.*s\"", setting_expected(row->type),
			 STR_ARG(str_head(text, 80)));
}

static int parse_number(const struct setting *row, struct settings *s, struct str text,
			struct fault *why)
{
	uint64_t value;
	bool ok;

	if (row->type == SETTING_SIZE)
		ok = settings_unit_size(text, &value) || str_u64(text, UINT64_MAX, &value);
	else if (row->type == SETTING_DURATION)
		ok = settings_unit_duration(text, &value);
	else
		ok = str_u64(text, UINT64_MAX, &value);
	return ok ? setting_number(row, s, value, why) : unexpected(row, text, why);
}

static bool is_one_of(struct str text, const char *const *words)
{
	for (; *words; words++)
		if (str_eq(text, str_of(*words)))
			return true;
	return false;
}

static int text_check(const struct setting *row, struct str text, struct fault *why)
{
	static const char *const levels[] = { "debug", "info", "warn", "error", NULL };
	static const char *const sinks[] = { "stdout", "syslog", "none", NULL };
	enum address_domain kind;

	if (setting_text_check(text, why) < 0)
		return -1;
	if (row->type == SETTING_LEVEL && !is_one_of(text, levels))
		return unexpected(row, text, why);
	if (row->type == SETTING_EVENTS && !is_one_of(text, sinks) &&
	    !(str_has_prefix(text, STR("file:")) && text.n > strlen("file:")) &&
	    !(str_has_prefix(text, STR("syslog:/")) && text.n > strlen("syslog:/")))
		return unexpected(row, text, why);
	if (row->type == SETTING_HOST && address_domain_parse(text, &kind) != ADDRESS_OK)
		return unexpected(row, text, why);
	if (row->type == SETTING_HOP && text.n)
		return setting_hop_check(text, why);
	return 0;
}

int setting_parse(const struct setting *row, struct settings *s, struct str text, struct fault *why)
{
	switch (row->type) {
	case SETTING_COUNT:
	case SETTING_SIZE:
	case SETTING_DURATION:
		return parse_number(row, s, text, why);
	case SETTING_FLAG:
		if (!str_eq(text, STR("true")) && !str_eq(text, STR("false")))
			return unexpected(row, text, why);
		*(bool *)setting_field(row, s) = str_eq(text, STR("true"));
		return 0;
	case SETTING_TEXT:
	case SETTING_HOST:
	case SETTING_PATH:
	case SETTING_KEY:
	case SETTING_HOP:
	case SETTING_EVENTS:
	case SETTING_LEVEL:
		if (text_check(row, text, why) < 0)
			return -1;
		*(struct str *)setting_field(row, s) = text;
		return 0;
	case SETTING_DOMAINS:
	case SETTING_DOMAINS_ALL:
	case SETTING_ROUTES:
	case SETTING_PATHS:
	case SETTING_CERTIFICATES:
	case SETTING_LISTENERS:
	case SETTING_TYPES:
		break;
	}
	return unexpected(row, text, why);
}

/* ---- parts of lists ------------------------------------------------------------------------- */

int setting_domain_check(struct str text, bool or_all, struct fault *why)
{
	enum address_domain kind;

	if (or_all && str_eq(text, STR("*")))
		return 0;
	if (address_domain_parse(text, &kind) != ADDRESS_OK)
		return fault_set(why, "\"%.*s\" is not a domain name", STR_ARG(str_head(text, 80)));
	return 0;
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.';
}

/* name = 1*64(ALPHA / DIGIT / "_" / "-" / ".") */
int setting_name_check(struct str text, struct fault *why)
{
	for (size_t i = 0; i < text.n; i++)
		if (!is_name_byte(text.p[i]))
			return fault_set(why,
					 "\"%.*s\" is not a name: letters, digits, \"_\", \"-\" "
					 "and \".\" only",
					 STR_ARG(str_head(text, 80)));
	if (text.n == 0 || text.n > SETTINGS_NAME)
		return fault_set(why, "a name has between 1 and %d bytes", SETTINGS_NAME);
	return 0;
}

int setting_address_check(struct str text, struct fault *why)
{
	struct net_address address;

	if (setting_text_check(text, why) < 0 || net_address_parse(text, &address, why) < 0)
		return -1;
	if (str_find(text, ' ') >= 0)
		return fault_set(why, "\"%.*s\": an address has no blank in it",
				 STR_ARG(str_head(text, 80)));
	return 0;
}

int setting_hop_check(struct str text, struct fault *why)
{
	if (setting_text_check(text, why) < 0)
		return -1;
	return policy_next_hop_is_valid(text, why) ? 0 : -1;
}
