/*
 * settings - what moongate.lua says, checked.
 *
 * What        one struct with every setting, its default, unit and bound, filled from the canonical
 *             text that the loader wrote into the snapshot: "key value" lines in schema order, so
 *             that two settings can be compared line by line.
 * Why         moongate.lua is evaluated once, in the loader, without side effects; every role sees
 *             the same result and no Lua.
 * Invariants  after settings_read everything is within its bounds; nothing needs checking again.
 * Ownership   strings live in the arena given to settings_read.
 * Read next   settings_schema.c, the table; loader.c, which evaluates the file.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "arena.h"
#include "buf.h"
#include "fault.h"
#include "smtp_server.h"
#include "tls_context.h"

#define SETTINGS_CANONICAL (4 * 1024 * 1024) /* bytes of the canonical text */
#define SETTINGS_LISTENERS 32
#define SETTINGS_DOMAINS   4096
#define SETTINGS_MAPS      64
#define SETTINGS_ROUTES    1024

struct settings_listener {
	struct str name;    /* default: the address */
	struct str address; /* "127.0.0.1:2525", "[::1]:25", "unix:/path" */
	enum smtp_tls tls;  /* default: STARTTLS is offered where there is a certificate */
	enum tls_floor floor;
	enum tls_clients clients;
	struct str ciphers; /* of TLS 1.2; empty: our own choice */
};

struct settings_certificate {
	struct str certificate, key, staple; /* paths; staple may be empty */
};

struct settings_pair {
	struct str key, value;
};

struct settings {
	struct str hostname; /* greeting, Received, EHLO; default: the host's name */
	struct str user;     /* of the roles; empty: owner of the spool directory, or nobody */
	struct settings_listener listen[SETTINGS_LISTENERS];
	unsigned nlisten;
	struct str control;  /* path of the control socket */
	struct str spool;    /* directory */
	struct str spool_key; /* path of its key file, or "credential:NAME"; empty: it is plain */
	bool spool_sealed;   /* new messages are, when there is a key; default true */
	struct str policy;   /* path of the entry file as given; empty: none */
	struct str *domains; /* ours: their postmaster is always permitted; lower case */
	unsigned ndomains;
	struct str *relay_domains; /* permitted unless a handler refused; "*" for all */
	unsigned nrelay_domains;
	struct str relay_to;         /* next hop of those; empty: by route */
	struct settings_pair *route; /* domain (or "*") to next hop */
	unsigned nroute;
	struct settings_pair *maps; /* name to path */
	unsigned nmaps;
	struct {
		struct settings_certificate *certificates; /* the first is for who asks for none */
		unsigned ncertificates;
		struct str authorities; /* path; of client certificates; empty: none */
		uint64_t warn;          /* us before a certificate ends, 14 d */
	} tls;
	unsigned edges, delivers; /* processes; default: cores, and half of them */
	struct {
		uint32_t connections;  /* per edge process, 4,096 */
		uint32_t recipients;   /* per message, 1,000 */
		uint32_t errors;       /* per session: then 421, 20 */
		uint32_t refusals;     /* per session: addresses refused for good, 100 */
		uint32_t junk;         /* per session: commands without mail, 100 */
		uint32_t commands;     /* per session, 10,000 */
		uint32_t messages;     /* per session, 1,000 */
		uint32_t hops;         /* Received fields, 50 */
		uint32_t command_line; /* bytes with CRLF, 2,048 */
		uint32_t data_line;    /* bytes with CRLF, 64 KiB */
		uint64_t message;      /* bytes, 50 MiB */
		uint64_t memory;       /* bodies in memory per edge, 64 MiB */
	} limits;
	bool routing_characters;    /* allow % ! @ in local parts; default false: 550 */
	struct {                    /* microseconds */
		uint64_t handshake; /* of TLS, 30 s */
		uint64_t command;   /* 5 min */
		uint64_t data;      /* between bytes of a body, 3 min */
		uint64_t session;   /* whole session, 1 h */
		uint64_t commit;    /* waiting for durable, 30 s: then 451 */
	} timeouts;
	struct {
		uint64_t first, longest; /* first retry 5 min, longest 4 h; jitter is the queue's */
		uint64_t expire;         /* 5 d */
		/* the first wait of each class of failure; 0: its default by `first` */
		uint64_t connect, broken, greylist, rate, policy;
		uint32_t concurrency, concurrency_least; /* per destination, 20 and 1 */
		uint32_t total; /* attempts at once per deliver process, 500 */
	} retry;
	struct {
		uint64_t bytes; /* 1 GiB */
		uint64_t ttl;   /* 30 d */
	} quarantine;
	struct {
		uint64_t segment;  /* bytes, 128 MiB */
		uint32_t segments; /* at most, 64 */
		uint64_t reserve;  /* bytes kept free on the disk, 256 MiB */
		uint64_t gather;   /* us, 2,000 */
		uint32_t slots;    /* big messages at most, 4,096 */
	} store;
	struct {
		struct str to;    /* "stdout", "file:/path", "syslog", "none" */
		struct str level; /* "info" */
	} events;
	struct {
		uint64_t cpu;    /* us of CPU a handler may burn, 100 ms */
		uint64_t memory; /* bytes of a policy state, 64 MiB */
		uint64_t load;   /* us to load a policy, 2 s */
	} budget;
	uint64_t drain;    /* 30 s: TERM; old generations; old connections */
	uint64_t watchdog; /* a role whose loop stalls longer is aborted and replaced, 30 s */
};

/* settings_write - the canonical text; false when out is full */
bool settings_write(const struct settings *s, struct buf *out);
int settings_read(struct settings *s, struct str canonical, struct arena *arena, struct fault *why);

/* settings_restart - the path of the first setting that differs and needs a restart; empty: a
 * reload will do */
struct str settings_restart(struct str old_canonical, struct str new_canonical);

#endif
