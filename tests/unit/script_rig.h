/*
 * script_rig - a policy out of a string, a made-up session, and questions to it.
 *
 * Events go to a buffer, where tests look for them. rig_ask turns the loop until the answer is there.
 */
#ifndef SCRIPT_RIG_H
#define SCRIPT_RIG_H

#include "check.h"

#include "log.h"
#include "policy_edit.h"
#include "script.h"
#include "script_vm.h"

#define RIG_SOURCES 8

struct rig {
	struct net_loop *loop;
	struct policy_set set;
	struct policy_generation *g;
	struct script_source sources[RIG_SOURCES];
	struct script_map maps[2];
	struct script_options options;
	struct buf errors, log;
	struct arena arena;
	struct policy_conn conn;
	struct policy_tx tx;
	struct policy_rcpt *rcpt;
	struct policy_msg msg;
	struct policy_attempt attempt;
	struct policy_result result, *failures[1];
	struct policy_bounce bounce;
	struct policy_question q;
	bool is_answered;
};

static inline bool rig_log(void *owner, struct str line)
{
	struct rig *r = owner;

	return buf_add(&r->log, line);
}

static inline void rig_tx(struct rig *r)
{
	struct policy_address address;

	policy_tx_init(&r->tx, &r->conn, &r->arena);
	r->tx.id = id_make(1, 1);
	assert_true(policy_address_copy(&r->arena, STR("alice@example.net"), &r->tx.sender));
	r->tx.sender_original = STR("Alice@example.net");
	assert_true(policy_address_copy(&r->arena, STR("bob+tag@example.org"), &address));
	r->rcpt = policy_rcpt_add(&r->tx, address);
	r->rcpt->original = STR("Bob+tag@example.org");
	r->msg = (struct policy_msg){
		.tx = &r->tx,
		.header = STR("Received: from a\r\n\tby b\r\nSubject: =?x?= hello\r\n  "
			      "world\r\nX-A: 1\r\nx-a: 2\r\n"),
		.body = STR("a body\r\n"),
		.size = 100,
		.is_complete = true,
		.hops = 1,
	};
	r->attempt = (struct policy_attempt){
		.destination = STR("smtp:192.0.2.9:25"),
		.next_hop = STR("smtp:192.0.2.9:25"),
		.number = 2,
	};
	r->result = (struct policy_result){
		.rcpt = r->rcpt,
		.outcome = ATTEMPT_DEFERRED,
		.code = 451,
		.esc = STR("4.2.0"),
		.text = STR("later"),
	};
	r->failures[0] = &r->result;
	r->bounce = (struct policy_bounce){ .to = STR("alice@example.net"),
					    .failures = r->failures,
					    .nfailures = 1 };
}

static inline void rig_tx_end(struct rig *r)
{
	policy_handles_cut(&r->msg.handles);
	policy_handles_cut(&r->attempt.handles);
	policy_handles_cut(&r->result.handles);
	policy_handles_cut(&r->bounce.handles);
	policy_tx_fini(&r->tx);
}

static inline void rig_init(struct rig *r)
{
	*r = (struct rig){ .loop = net_loop_new() };
	policy_set_init(&r->set);
	buf_init(&r->errors, 64 * 1024);
	buf_init(&r->log, 1 << 20);
	arena_init(&r->arena, 1 << 20);
	r->options = (struct script_options){
		.loop = r->loop,
		.sources = r->sources,
		.maps = r->maps,
		.cpu_us = 10000,
		.load_us = 200000,
		.memory = 4 << 20,
		.is_edge = true,
	};
	policy_conn_init(&r->conn, &r->arena);
	r->conn.id = id_make(1, 2);
	r->conn.listener = STR("mx");
	r->conn.peer_ip = STR("192.0.2.7");
	r->conn.peer_port = 4321;
	r->conn.local_ip = STR("192.0.2.1");
	r->conn.local_port = 25;
	r->conn.helo = STR("client.example");
	r->conn.tls = (struct policy_tls){
		.version = STR("TLSv1.3"),
		.cipher = STR("TLS_AES_128_GCM_SHA256"),
		.name = STR("mx.example.com"),
		.fingerprint = STR("00ff"),
		.subject = STR("CN=client.example"),
		.problem = STR("self-signed certificate"),
	};
	rig_tx(r);
	log_sink(rig_log, r);
}

static inline void rig_source(struct rig *r, const char *name, const char *path, const char *text)
{
	assert_true(r->options.nsources < RIG_SOURCES);
	r->sources[r->options.nsources++] =
		(struct script_source){ str_of(name), str_of(path), str_of(text) };
}

/* rig_load - the generation is active afterwards; -1: r->errors says why */
static inline int rig_load(struct rig *r)
{
	struct policy_generation *g = policy_generation_new(7, STR("0123456789abcdef"));

	if (script_load(g, &r->options, &r->errors) < 0) {
		policy_generation_free(&g);
		return -1;
	}
	policy_set_commit(&r->set, g);
	r->g = g;
	return 0;
}

/* rig_policy - the whole policy is this text */
static inline void rig_policy(struct rig *r, const char *text)
{
	r->options.nsources = 0;
	buf_reset(&r->errors);
	rig_source(r, "main", "policy.lua", text);
	if (rig_load(r) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&r->errors)));
}

static inline void rig_fini(struct rig *r)
{
	rig_tx_end(r);
	policy_conn_fini(&r->conn);
	policy_set_fini(&r->set);
	arena_fini(&r->arena);
	buf_fini(&r->errors);
	buf_fini(&r->log);
	net_loop_free(&r->loop);
	log_sink(NULL, NULL);
}

static inline void rig_answered(struct policy_question *q)
{
	struct rig *r = LIST_ITEM(q, struct rig, q);

	r->is_answered = true;
	net_loop_stop(r->loop);
}

static inline enum step rig_begin(struct rig *r, enum policy_hook hook)
{
	bool is_edge = policy_hook_is_edge(hook);

	r->tx.conn = is_edge ? &r->conn : NULL;
	r->is_answered = false;
	r->q = (struct policy_question){
		.hook = hook,
		.generation = r->set.active,
		.arena = &r->arena,
		.conn = is_edge ? &r->conn : NULL,
		.tx = hook >= HOOK_MAIL && hook != HOOK_DISCONNECT ? &r->tx : NULL,
		.answered = rig_answered,
	};
	if (hook == HOOK_RCPT || hook == HOOK_MESSAGE_RCPT || hook == HOOK_ROUTE)
		r->q.rcpt = r->rcpt;
	if (hook == HOOK_HEADERS || hook == HOOK_MESSAGE || hook == HOOK_MESSAGE_RCPT)
		r->q.msg = &r->msg;
	if (hook == HOOK_RESULT) {
		r->q.attempt = &r->attempt;
		r->q.result = &r->result;
	}
	if (hook == HOOK_BOUNCE)
		r->q.bounce = &r->bounce;
	return policy_ask(&r->q);
}

static inline const struct verdict *rig_ask(struct rig *r, enum policy_hook hook)
{
	if (rig_begin(r, hook) == STEP_MORE) {
		net_loop_run(r->loop);
		assert_true(r->is_answered);
	}
	return &r->q.verdict;
}

static inline struct script_vm *rig_vm(struct rig *r)
{
	return r->set.active->self;
}

static inline bool rig_says(const struct buf *b, const char *part)
{
	struct str all = buf_str(b);

	return all.n > 0 && memmem(all.p, all.n, part, strlen(part)) != NULL;
}

static inline void rig_expect(const struct buf *b, const char *part)
{
	if (!rig_says(b, part))
		fail_msg("\"%s\" is not in:\n%.*s", part, STR_ARG(buf_str(b)));
}

#endif
