/*
 * bench_script - what a question to a policy costs: nanoseconds of CPU a synchronous hook, one that waits, a chain of ten.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policy_view.h"
#include "script.h"

static unsigned most = 400000; /* or the first argument */

static struct policy_set set;
static struct net_loop *loop;
static struct arena arena;
static struct policy_conn conn;
static struct policy_tx tx;
static struct policy_question q;

static uint64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void load(const char *text)
{
	struct script_source source = { STR("main"), STR("bench.lua"), str_of(text) };
	struct script_options o = {
		.loop = loop,
		.sources = &source,
		.nsources = 1,
		.cpu_us = 100000,
		.load_us = 2000000,
		.memory = 64 << 20,
		.is_edge = true,
	};
	struct policy_generation *g = policy_generation_new(1, STR("0"));
	struct buf errors;

	buf_init(&errors, 65536);
	if (script_load(g, &o, &errors) < 0) {
		(void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
		exit(1);
	}
	policy_set_commit(&set, g);
	buf_fini(&errors);
}

static void transaction(void)
{
	struct policy_address address;
	struct policy_rcpt *r;

	policy_tx_fini(&tx);
	arena_reset(&arena);
	policy_tx_init(&tx, &conn, &arena);
	if (!policy_address_copy(&arena, STR("alice@example.net"), &tx.sender) ||
	    !policy_address_copy(&arena, STR("bob@example.org"), &address))
		exit(1);
	r = policy_rcpt_add(&tx, address);
	q = (struct policy_question){ .hook = HOOK_RCPT,
				      .generation = set.active,
				      .arena = &arena,
				      .conn = &conn,
				      .tx = &tx,
				      .rcpt = r };
}

static void answered(struct policy_question *question)
{
	(void)question;
	net_loop_stop(loop);
}

static void stop(struct net_deferred *d)
{
	(void)d;
	net_loop_stop(loop);
}

/* turn - at the end of a turn garbage is collected: that is part of the price */
static void turn(void)
{
	struct net_deferred d = { .run = stop };

	net_loop_defer_next(loop, &d);
	net_loop_run(loop);
}

static void questions(unsigned every, unsigned rounds, bool asks)
{
	for (unsigned i = 0; i < rounds; i++) {
		if (i % every == 0)
			transaction();
		q.answered = answered;
		if (asks && policy_ask(&q) == STEP_MORE)
			net_loop_run(loop);
		if (i % 16 == 15)
			turn();
	}
}

static double best_of_five(unsigned every, unsigned rounds, bool asks)
{
	double best = 1e12;

	for (unsigned run = 0; run < 5; run++) {
		uint64_t begun = cpu_ns();

		questions(every, rounds, asks);
		if ((double)(cpu_ns() - begun) / rounds < best)
			best = (double)(cpu_ns() - begun) / rounds;
	}
	return best;
}

/* Nanoseconds of CPU a question, without those of the same loop that asks nobody; `every`: questions a transaction. */
static void measure(const char *what, const char *text, unsigned every, unsigned rounds)
{
	load(text);
	(void)printf("%-58s %8.0f ns\n", what,
		     best_of_five(every, rounds, true) - best_of_five(every, rounds, false));
}

int main(int argc, char **argv)
{
	if (argc > 1)
		most = (unsigned)strtoul(argv[1], NULL, 10);
	loop = net_loop_new();
	policy_set_init(&set);
	arena_init(&arena, 1 << 20);
	policy_conn_init(&conn, &arena);
	conn.listener = STR("mx");
	conn.peer_ip = STR("192.0.2.7");
	conn.helo = STR("client.example");
	policy_tx_init(&tx, &conn, &arena);
	measure("no handler for the hook", "require 'moongate'.on('mail', function() end)", 8,
		most);
	measure("one handler, two fields, objects seen before",
		"local gate = require 'moongate' gate.on('rcpt', function(tx, rcpt)\n"
		"if rcpt.domain == 'x' and tx.helo == 'y' then return gate.reject() end end)",
		1000, most);
	measure("the same, each in a transaction of its own",
		"local gate = require 'moongate' gate.on('rcpt', function(tx, rcpt)\n"
		"if rcpt.domain == 'x' and tx.helo == 'y' then return gate.reject() end end)",
		1, most);
	measure("one handler that refuses",
		"local gate = require 'moongate' gate.on('rcpt', function(tx, rcpt)\n"
		"return gate.reject(550, '5.1.1', 'no') end)",
		1000, most);
	measure("ten handlers, one field each",
		"local gate = require 'moongate' for i = 1, 10 do gate.on('rcpt', { name = 'h' .. "
		"i }, function(tx, rcpt)\n"
		"if rcpt.domain == 'x' then return gate.reject() end end) end",
		1000, most / 10);
	measure("one handler that waits for the next turn",
		"local gate = require 'moongate' gate.on('rcpt', function(tx, rcpt) gate.sleep(0) "
		"end)",
		1000, most / 10);
	policy_tx_fini(&tx);
	policy_conn_fini(&conn);
	policy_set_fini(&set);
	arena_fini(&arena);
	net_loop_free(&loop);
	return 0;
}
