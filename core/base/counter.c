#include "counter.h"

#include <assert.h>
#include <string.h>

#define RULE_OTHER (COUNTER_RULES - 1)

#define INFO(name, text, help) { text, help },
const struct counter_info counter_info[COUNTERS] = { COUNTER_TABLE(INFO) };
const struct counter_info gauge_info[GAUGES] = { GAUGE_TABLE(INFO) };
const struct counter_info histogram_info[HISTOGRAMS] = { HISTOGRAM_TABLE(INFO) };

static struct counter_slab private_slab;
static struct counter_slab *slab = &private_slab;

/*
 * There is one writer: reading needs no order, and storing only has to be whole for the reader in
 * another process.
 */
static void store(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static void add(uint64_t *at, uint64_t n)
{
	store(at, *at + n);
}

/*
 * counter_attach - what was counted before goes along; gauges tell of this process alone, so those
 * that a dead predecessor left in the slab are overwritten
 */
void counter_attach(struct counter_slab *shared)
{
	assert(slab == &private_slab);
	slab = shared;
	for (int i = 0; i < COUNTERS; i++)
		add(&slab->counters[i], private_slab.counters[i]);
	for (int i = 0; i < GAUGES; i++)
		store(&slab->gauges[i], private_slab.gauges[i]);
	for (int i = 0; i < HISTOGRAMS; i++) {
		for (int k = 0; k < HISTOGRAM_BUCKETS; k++)
			add(&slab->histograms[i].buckets[k], private_slab.histograms[i].buckets[k]);
		add(&slab->histograms[i].count, private_slab.histograms[i].count);
		add(&slab->histograms[i].sum_us, private_slab.histograms[i].sum_us);
	}
}

void counter_add(enum counter c, uint64_t n)
{
	add(&slab->counters[c], n);
}

void gauge_set(enum gauge g, uint64_t value)
{
	store(&slab->gauges[g], value);
}

void gauge_move(enum gauge g, int64_t by)
{
	add(&slab->gauges[g], (uint64_t)by);
}

/* bucket_of - the smallest i with us <= 8 << i */
static unsigned bucket_of(uint64_t us)
{
	uint64_t eighths = us ? (us - 1) >> 3 : 0;
	unsigned bucket = eighths ? 64 - (unsigned)__builtin_clzll(eighths) : 0;

	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

void histogram_add(enum histogram h, uint64_t us)
{
	add(&slab->histograms[h].buckets[bucket_of(us)], 1);
	add(&slab->histograms[h].count, 1);
	add(&slab->histograms[h].sum_us, us);
}

uint64_t histogram_bound(unsigned bucket)
{
	return bucket < HISTOGRAM_BUCKETS - 1 ? UINT64_C(8) << bucket : UINT64_MAX;
}

void counter_beat(uint64_t mono_us)
{
	store(&slab->heartbeat, mono_us);
}

unsigned rule_slot(struct str name)
{
	char text[sizeof slab->rules[0].name];
	unsigned i = 0;

	str_copy(text, sizeof text, name);
	while (i < RULE_OTHER && slab->rules[i].name[0] && strcmp(slab->rules[i].name, text) != 0)
		i++;
	if (i == RULE_OTHER)
		str_copy(text, sizeof text, STR("other"));
	memcpy(slab->rules[i].name, text, sizeof text);
	return i;
}

void rule_add(unsigned slot, enum rule_outcome outcome)
{
	assert(slot < COUNTER_RULES);
	add(&slab->rules[slot].counts[outcome], 1);
}
