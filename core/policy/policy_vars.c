/*
 * packed = *entry
 * entry  = type(u8) name-length(u8) value-length(u32) name value       ; little-endian
 * value  = bytes / i64 / IEEE double as u64 / u8 0 or 1 / *( length(u32) bytes )
 */
#include "policy_vars.h"

#include "codec.h"

#include <assert.h>
#include <string.h>

#define ENTRY_HEAD 6

struct entry {
	enum var_type type;
	struct str name, value;
	size_t at, end; /* in the packed bytes */
};

void policy_vars_init(struct policy_vars *v)
{
	*v = (struct policy_vars){ 0 };
	buf_init(&v->packed, POLICY_VARS_BYTES);
}

void policy_vars_fini(struct policy_vars *v)
{
	buf_fini(&v->packed);
	v->count = 0;
}

/* entry_take - false: the end, or what follows is no entry (then w->bad) */
static bool entry_take(struct wire *w, struct entry *out)
{
	unsigned type, name, value;

	if (w->rest.n == 0)
		return false;
	type = wire_get_u8(w);
	name = wire_get_u8(w);
	value = wire_get_u32(w);
	if (w->bad || w->rest.n < name || w->rest.n - name < value) {
		w->bad = true;
		return false;
	}
	out->type = (enum var_type)type;
	out->name = str_head(w->rest, name);
	out->value = str_head(str_drop(w->rest, name), value);
	w->rest = str_drop(w->rest, (size_t)name + value);
	return true;
}

static bool entry_find(const struct policy_vars *v, struct str name, struct entry *out)
{
	struct str all = buf_str(&v->packed);
	struct wire w = { .rest = all };

	for (;;) {
		out->at = all.n - w.rest.n;
		if (!entry_take(&w, out))
			return false;
		out->end = all.n - w.rest.n;
		if (str_eq(out->name, name))
			return true;
	}
}

static bool list_is_valid(struct str packed)
{
	struct wire w = { .rest = packed };

	while (w.rest.n > 0 && !w.bad)
		(void)wire_get_str(&w, POLICY_VARS_BYTES);
	return !w.bad;
}

static bool name_is_valid(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return false;
	return name.n > 0 && name.n <= POLICY_VARS_NAME;
}

static struct policy_var decoded(const struct entry *e)
{
	struct policy_var var = { .type = e->type };
	struct wire w = { .rest = e->value };
	uint64_t bits;

	switch (e->type) {
	case VAR_STRING:
	case VAR_LIST:
		var.text = e->value;
		break;
	case VAR_INTEGER:
		var.integer = (int64_t)wire_get_u64(&w);
		break;
	case VAR_NUMBER:
		bits = wire_get_u64(&w);
		memcpy(&var.number, &bits, sizeof bits);
		break;
	case VAR_BOOLEAN:
		var.integer = wire_get_u8(&w);
		break;
	case VAR_NONE:
	case VAR_TYPES:
		assert(!"an entry has a type");
	}
	return var;
}

static bool entry_is_valid(const struct entry *e)
{
	switch (e->type) {
	case VAR_STRING:
		return true;
	case VAR_LIST:
		return list_is_valid(e->value);
	case VAR_INTEGER:
	case VAR_NUMBER:
		return e->value.n == 8;
	case VAR_BOOLEAN:
		return e->value.n == 1 && (unsigned char)e->value.p[0] <= 1;
	case VAR_NONE:
	case VAR_TYPES:
		break;
	}
	return false;
}

struct policy_var policy_vars_get(const struct policy_vars *v, struct str name)
{
	struct entry e;

	return entry_find(v, name, &e) ? decoded(&e) : (struct policy_var){ .type = VAR_NONE };
}

bool policy_vars_next(const struct policy_vars *v, size_t *at, struct str *name,
		      struct policy_var *value)
{
	struct str all = buf_str(&v->packed);
	struct wire w = { .rest = str_drop(all, *at) };
	struct entry e;

	if (!entry_take(&w, &e))
		return false;
	*at = all.n - w.rest.n;
	*name = e.name;
	*value = decoded(&e);
	return true;
}

static void entry_remove(struct policy_vars *v, const struct entry *e)
{
	char *p = v->packed.p + v->packed.head;

	memmove(p + e->at, p + e->end, buf_len(&v->packed) - e->end);
	v->packed.tail -= e->end - e->at;
	v->count--;
}

static size_t value_size(const struct policy_var *value)
{
	switch (value->type) {
	case VAR_STRING:
	case VAR_LIST:
		return value->text.n;
	case VAR_INTEGER:
	case VAR_NUMBER:
		return 8;
	case VAR_BOOLEAN:
		return 1;
	case VAR_NONE:
	case VAR_TYPES:
		break;
	}
	return 0;
}

/* entry_append - the room was checked */
static void entry_append(struct policy_vars *v, struct str name, const struct policy_var *value,
			 size_t size)
{
	struct buf *b = &v->packed;
	uint64_t bits;
	bool fits = wire_u8(b, (uint8_t)value->type) && wire_u8(b, (uint8_t)name.n) &&
		    wire_u32(b, (uint32_t)size) && buf_add(b, name);

	switch (value->type) {
	case VAR_STRING:
	case VAR_LIST:
		fits = fits && buf_add(b, value->text);
		break;
	case VAR_INTEGER:
		fits = fits && wire_u64(b, (uint64_t)value->integer);
		break;
	case VAR_NUMBER:
		memcpy(&bits, &value->number, sizeof bits);
		fits = fits && wire_u64(b, bits);
		break;
	case VAR_BOOLEAN:
		fits = fits && wire_u8(b, value->integer != 0);
		break;
	case VAR_NONE:
	case VAR_TYPES:
		fits = false;
	}
	assert(fits);
	v->count++;
}

bool policy_vars_set(struct policy_vars *v, struct str name, const struct policy_var *value)
{
	struct entry old = { 0 };
	bool had = entry_find(v, name, &old);
	size_t size = value_size(value), freed = had ? old.end - old.at : 0;

	if (v->packed.max == 0) /* zeroed memory is an empty one */
		policy_vars_init(v);
	if (value->type != VAR_NONE) {
		if (!name_is_valid(name) ||
		    (value->type == VAR_LIST && !list_is_valid(value->text)))
			return false;
		if (v->count - had >= POLICY_VARS)
			return false;
		if (size > POLICY_VARS_BYTES ||
		    buf_len(&v->packed) - freed + ENTRY_HEAD + name.n + size > POLICY_VARS_BYTES)
			return false;
	}
	if (had)
		entry_remove(v, &old);
	if (value->type != VAR_NONE)
		entry_append(v, name, value, size);
	v->is_changed |= had || value->type != VAR_NONE;
	return true;
}

struct str policy_vars_packed(const struct policy_vars *v)
{
	return buf_str(&v->packed);
}

void policy_vars_unchanged(struct policy_vars *v)
{
	v->is_changed = false;
}

static bool packed_is_valid(struct str packed)
{
	struct policy_vars seen = { .packed = { .p = (char *)(uintptr_t)packed.p,
						.tail = packed.n } };
	struct wire w = { .rest = packed };
	unsigned count = 0;
	struct entry e, first;

	for (size_t at = 0; entry_take(&w, &e); at = packed.n - w.rest.n) {
		if (++count > POLICY_VARS || !entry_is_valid(&e) || !name_is_valid(e.name))
			return false;
		if (entry_find(&seen, e.name, &first) && first.at != at)
			return false;
	}
	return !w.bad;
}

bool policy_vars_unpack(struct policy_vars *v, struct str packed)
{
	struct wire w = { .rest = packed };
	struct entry e;

	policy_vars_fini(v);
	policy_vars_init(v);
	if (packed.n > POLICY_VARS_BYTES || !packed_is_valid(packed))
		return false;
	while (entry_take(&w, &e))
		v->count++;
	return buf_add(&v->packed, packed);
}
