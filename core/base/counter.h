/*
 * counter - what `moongate metrics` shows.
 *
 * What        one slab per process in memory shared with the control role: counters, latency
 *             histograms, and outcomes per policy rule. Each slab has one writer, the
 *             loop thread; control sums them.
 * Why         counting costs an add, needs no lock, and survives the process that counted.
 * Invariants  names and order come from the tables below alone. Before counter_attach everything
 *             counts into a private slab.
 * Bounds      COUNTER_RULES rules per process; what comes later is counted under the last slot,
 *             "other".
 */
#ifndef COUNTER_H
#define COUNTER_H

#include "str.h"

/* clang-format off */
#define COUNTER_TABLE(X) \
	X(SESSIONS,            "smtp_sessions_total",           "inbound sessions begun") \
	X(SESSIONS_SHED,       "smtp_sessions_shed_total",      "inbound sessions refused because a limit of connections was reached") \
	X(COMMANDS,            "smtp_commands_total",           "inbound SMTP commands") \
	X(COMMAND_ERRORS,      "smtp_command_errors_total",     "inbound SMTP commands answered 5xx for their form") \
	X(SMUGGLING,           "smtp_smuggling_total",          "messages and lines refused for a bare CR, a bare LF or a NUL") \
	X(TLS_HANDSHAKES,      "tls_handshakes_total",          "inbound TLS handshakes that were good") \
	X(TLS_1_3,             "tls_v13_total",                 "of them, with TLS 1.3; the others are TLS 1.2") \
	X(TLS_RESUMED,         "tls_resumed_total",             "of them, by a ticket") \
	X(TLS_VERIFIED,        "tls_verified_total",            "of them, with a client certificate that verifies") \
	X(TLS_FAILED_NO_TLS,   "tls_failed_no_tls_total",       "what came in place of a handshake was not TLS") \
	X(TLS_FAILED_VERSION,  "tls_failed_version_total",      "handshakes without a version in common") \
	X(TLS_FAILED_CIPHER,   "tls_failed_cipher_total",       "handshakes without a cipher, group or signature in common") \
	X(TLS_FAILED_CERTIFICATE, "tls_failed_certificate_total", "client certificates missing or not verified where they are required") \
	X(TLS_FAILED_ALERT,    "tls_failed_alert_total",        "handshakes and sessions that the client broke off by an alert") \
	X(TLS_FAILED_OTHER,    "tls_failed_other_total",        "handshakes and sessions broken in another way") \
	X(TLS_FAILED_GONE,     "tls_failed_gone_total",         "connections that ended in the midst of a handshake") \
	X(TLS_FAILED_TIMEOUT,  "tls_failed_timeout_total",      "handshakes that took longer than timeouts.handshake") \
	X(TLS_INJECTED,        "tls_injected_total",            "sessions closed because bytes stood behind STARTTLS") \
	X(RCPT_ACCEPTED,       "smtp_recipients_accepted_total","recipients answered 250") \
	X(RCPT_REFUSED,        "smtp_recipients_refused_total", "recipients answered 4xx or 5xx") \
	X(MESSAGES_ACCEPTED,   "smtp_messages_accepted_total",  "messages answered 250") \
	X(MESSAGES_REFUSED,    "smtp_messages_refused_total",   "messages answered 4xx or 5xx after MAIL") \
	X(BYTES_ACCEPTED,      "smtp_accepted_bytes_total",     "bytes of accepted messages") \
	X(HOOKS,               "policy_hooks_total",            "policy handlers run") \
	X(HOOK_ERRORS,         "policy_errors_total",           "policy handlers that failed: error, budget, nonsense, time") \
	X(HOOK_WAITS,          "policy_waits_total",            "times a policy handler waited") \
	X(RELOADS,             "policy_reloads_total",          "generations committed") \
	X(RELOADS_FAILED,      "policy_reloads_failed_total",   "reloads refused") \
	X(SPOOL_COMMITS,       "spool_commits_total",           "batches made durable") \
	X(SPOOL_SYNCS,         "spool_syncs_total",             "calls of fdatasync on segments and slots") \
	X(SPOOL_MESSAGES,      "spool_messages_total",          "messages made durable") \
	X(SPOOL_BYTES,         "spool_bytes_total",             "bytes written to segments and slots") \
	X(SPOOL_REFUSED,       "spool_refused_total",           "submissions refused") \
	X(SPOOL_FAULTS,        "spool_faults_total",            "write or sync calls that failed") \
	X(SPOOL_MOVED,         "spool_moved_total",             "messages copied forward so that a segment can be reused") \
	X(SPOOL_CORRUPT,       "spool_corrupt_total",           "damaged places set aside") \
	X(QUARANTINE_EXPIRED,  "quarantine_expired_total",      "quarantined messages dropped because their time was over") \
	X(QUARANTINE_FULL,     "quarantine_full_total",         "submissions refused because the quarantine was full") \
	X(QUEUE_LEASES,        "queue_leases_total",            "messages leased to a deliver process") \
	X(DELIVERED,           "delivery_delivered_total",      "recipients delivered") \
	X(DEFERRED,            "delivery_deferred_total",       "recipient attempts that will be tried again") \
	X(FAILED,              "delivery_failed_total",         "recipients failed for good") \
	X(UNSURE,              "delivery_unsure_total",         "recipients deferred although the next host may have taken the message") \
	X(EXPIRED,             "delivery_expired_total",        "recipients failed because their time was over") \
	X(BOUNCES,             "delivery_bounces_total",        "bounce messages made") \
	X(OUT_CONNECTIONS,     "delivery_connections_total",    "outbound connections opened") \
	X(OUT_REUSED,          "delivery_reused_total",         "messages sent over a connection already open") \
	X(EVENTS_DROPPED,      "events_dropped_total",          "event lines dropped because the sink was stuck") \
	X(ROLE_RESTARTS,       "role_restarts_total",           "roles that ended and were started again")

#define GAUGE_TABLE(X) \
	X(SESSIONS_OPEN,       "smtp_sessions_open",            "inbound sessions now open") \
	X(TLS_EXPIRES,         "tls_certificate_seconds",       "until the first certificate ends; 0: none, or it has") \
	X(QUEUE_MESSAGES,      "queue_messages",                "messages in the queue") \
	X(QUEUE_RECIPIENTS,    "queue_recipients",              "recipients not yet delivered") \
	X(QUEUE_DESTINATIONS,  "queue_destinations",            "destinations with mail") \
	X(QUEUE_HELD,          "queue_held",                    "messages held") \
	X(QUARANTINE_MESSAGES, "quarantine_messages",           "messages in the quarantine") \
	X(QUARANTINE_BYTES,    "quarantine_bytes",              "what they fill") \
	X(SPOOL_SEGMENTS_FREE, "spool_segments_free",           "segments ready for reuse") \
	X(SPOOL_SEGMENTS,      "spool_segments",                "segments in all") \
	X(SPOOL_SLOTS_FREE,    "spool_slots_free",              "slots for big messages that are free") \
	X(OUT_OPEN,            "delivery_connections_open",     "outbound connections now open") \
	X(LUA_BYTES,           "policy_lua_bytes",              "memory of the policy states") \
	X(GENERATIONS,         "policy_generations",            "generations alive, the draining ones too") \
	X(GENERATION,          "policy_generation",             "number of the active generation")

#define HISTOGRAM_TABLE(X) \
	X(SESSION_TIME,        "smtp_session_seconds",          "from connect to the end of a session") \
	X(MESSAGE_TIME,        "smtp_message_seconds",          "from MAIL to the reply after the end of data") \
	X(COMMIT_WAIT,         "spool_commit_wait_seconds",     "from SUBMIT to durable, seen by the edge") \
	X(SYNC_TIME,           "spool_sync_seconds",            "one fdatasync") \
	X(HOOK_TIME,           "policy_hook_seconds",           "wall time of a policy handler") \
	X(ATTEMPT_TIME,        "delivery_attempt_seconds",      "one delivery attempt") \
	X(QUEUE_TIME,          "queue_message_seconds",         "from durable to the last recipient's end") \
	X(LOOP_LAG,            "loop_lag_seconds",              "how late a turn of a role's loop began")
/* clang-format on */

#define COUNTER_ENUM(name, text, help) COUNTER_##name,
#define GAUGE_ENUM(name, text, help) GAUGE_##name,
#define HISTOGRAM_ENUM(name, text, help) HISTOGRAM_##name,
enum counter { COUNTER_TABLE(COUNTER_ENUM) COUNTERS };
enum gauge { GAUGE_TABLE(GAUGE_ENUM) GAUGES };
enum histogram { HISTOGRAM_TABLE(HISTOGRAM_ENUM) HISTOGRAMS };

/* bucket i holds what took at most 2^i microseconds * 8; the last one the rest */
#define HISTOGRAM_BUCKETS 28
#define COUNTER_RULES 256

enum rule_outcome { RULE_RUNS, RULE_REFUSED, RULE_ERRORS, RULE_OUTCOMES };

struct counter_slab {
	uint64_t counters[COUNTERS];
	uint64_t gauges[GAUGES];
	struct {
		uint64_t buckets[HISTOGRAM_BUCKETS], count, sum_us;
	} histograms[HISTOGRAMS];
	struct {
		char name[64];  /* NUL-terminated; control replaces what is not printable */
		uint64_t counts[RULE_OUTCOMES];
	} rules[COUNTER_RULES];
	uint64_t heartbeat;     /* monotonic time of the writer's last turn of its loop */
};

struct counter_info {
	const char *name, *help;
};
extern const struct counter_info counter_info[COUNTERS], gauge_info[GAUGES];
extern const struct counter_info histogram_info[HISTOGRAMS];

/*
 * counter_attach - once: shared memory of at least sizeof *slab, zeroed or left by a process that
 * ended; borrowed for ever. Counters go on from there, gauges begin anew; rule slots taken before
 * are void.
 */
void counter_attach(struct counter_slab *slab);
void counter_add(enum counter c, uint64_t n);
void gauge_set(enum gauge g, uint64_t value);
void gauge_move(enum gauge g, int64_t by);
void histogram_add(enum histogram h, uint64_t us);
void counter_beat(uint64_t mono_us);
unsigned rule_slot(struct str name);                    /* the slot of that name, made if need be */
void rule_add(unsigned slot, enum rule_outcome outcome);
/* its upper bound in microseconds; UINT64_MAX for the last */
uint64_t histogram_bound(unsigned bucket);

#endif
