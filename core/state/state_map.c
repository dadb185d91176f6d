/*
 * image = head *slot entries head  = magic(8) count(u32) slots(u32) probes(u32) zero(u32) slot  =
 * hash(u32) at(u32)                    ; at: offset into entries; 0: empty entry = key-length(u16)
 * value-length(u16) key value          ; value-length NO_VALUE: there is none
 *
 * Entries begin with a byte that nobody points to, so that 0 can mean empty. Everything is
 * little-endian, as the machine is.
 */
#include "state_map.h"

#include <assert.h>
#include <string.h>

#define HEAD        24
#define SLOT        8
#define ENTRY       4
#define NO_VALUE    UINT16_MAX
#define SLOTS_LEAST 16

static const char magic[8] = { 'M', 'G', 'M', 'A', 'P', '0', '0', '1' };

struct slot {
	uint32_t hash, at;
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/*
 * hash - FNV-1a with a last mix. Unkeyed: only the operator puts keys in, and a peer's look-up is
 * bounded by `probes`.
 */
static uint32_t hash(struct str key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (unsigned char)lower(key.p[i])) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

static uint32_t u32_at(struct str image, size_t at)
{
	uint32_t v;

	memcpy(&v, image.p + at, sizeof v);
	return v;
}

/* ---- reading */

int state_map_open(struct str image, struct state_map *out, struct fault *why)
{
	uint32_t slots;

	if (image.n < HEAD || memcmp(image.p, magic, sizeof magic) != 0)
		return fault_set(why, "this is no compiled map");
	*out = (struct state_map){ .image = image,
				   .count = u32_at(image, 8),
				   .probes = u32_at(image, 16) };
	slots = u32_at(image, 12);
	if (slots < SLOTS_LEAST || (slots & (slots - 1)) != 0 || (image.n - HEAD) / SLOT < slots ||
	    out->count > slots || out->probes > slots)
		return fault_set(why, "a compiled map of %zu bytes is damaged", image.n);
	out->mask = slots - 1;
	return 0;
}

static struct slot slot_of(const struct state_map *m, uint32_t i)
{
	struct slot s;

	memcpy(&s, m->image.p + HEAD + (size_t)i * SLOT, sizeof s);
	return s;
}

/* entry_of - false: the offset leads outside */
static bool entry_of(const struct state_map *m, uint32_t at, struct str *key, struct str *value)
{
	struct str rest = str_drop(m->image, HEAD + ((size_t)m->mask + 1) * SLOT);
	uint16_t length[2];
	size_t valued;

	if (at > rest.n || rest.n - at < ENTRY)
		return false;
	memcpy(length, rest.p + at, ENTRY);
	rest = str_drop(rest, (size_t)at + ENTRY);
	valued = length[1] == NO_VALUE ? 0 : length[1];
	if (rest.n < length[0] || rest.n - length[0] < valued)
		return false;
	*key = str_head(rest, length[0]);
	*value = length[1] == NO_VALUE ? STR_NONE : (struct str){ rest.p + length[0], valued };
	return true;
}

bool state_map_find(const struct state_map *m, struct str key, struct str *value)
{
	uint32_t h = hash(key);

	for (uint32_t i = 0; i < m->probes; i++) {
		struct slot s = slot_of(m, (h + i) & m->mask);
		struct str k, v;

		if (s.at == 0)
			return false;
		if (s.hash != h || !entry_of(m, s.at, &k, &v) || !str_ieq(k, key))
			continue;
		if (value)
			*value = v;
		return true;
	}
	return false;
}

bool state_map_next(const struct state_map *m, uint32_t *at, struct str *key, struct str *value)
{
	while (*at <= m->mask) {
		struct slot s = slot_of(m, (*at)++);

		if (s.at != 0 && entry_of(m, s.at, key, value))
			return true;
	}
	return false;
}

/* ---- compiling */

struct compiler {
	struct str path, text;
	struct buf *image, *errors;
	struct state_map map;
	size_t line;
	unsigned nerrors;
};

static void complain(struct compiler *c, const char *message)
{
	if (c->nerrors++ < STATE_MAP_ERRORS)
		(void)buf_printf(c->errors, "%.*s:%zu: %s\n", STR_ARG(c->path), c->line, message);
}

static struct str line_take(struct str *text)
{
	struct str line;

	if (!str_take(text, '\n', &line)) {
		line = *text;
		*text = STR_NONE;
	}
	return str_trim(line);
}

/* line_split - the key ends at the first blank outside quotes: "a b"@example.org is one key */
static void line_split(struct str line, struct str *key, struct str *value)
{
	bool quoted = false;
	size_t n = 0;

	for (; n < line.n; n++) {
		char ch = line.p[n];

		if (ch == '"')
			quoted = !quoted;
		else if (!quoted && (ch == ' ' || ch == '\t'))
			break;
		else if (quoted && ch == '\\' && n + 1 < line.n)
			n++;
	}
	*key = str_head(line, n);
	*value = str_trim(str_drop(line, n));
	if (value->n == 0)
		*value = STR_NONE;
}

static const char *entry_fault(struct str line, struct str key, struct str value)
{
	for (size_t i = 0; i < line.n; i++)
		if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
			return "a control character";
	if (key.n > STATE_MAP_KEY)
		return "a key of more than 512 bytes";
	if (value.n > STATE_MAP_VALUE)
		return "a value of more than 4096 bytes";
	return NULL;
}

/* first_line - where a key was seen first; slow, and needed for an error only */
static size_t first_line(const struct compiler *c, struct str key)
{
	struct str rest = c->text, k, v;

	for (size_t number = 1; number < c->line; number++) {
		struct str line = line_take(&rest);

		line_split(line, &k, &v);
		if (line.n > 0 && line.p[0] != '#' && str_ieq(k, key))
			return number;
	}
	return c->line;
}

static void repeated(struct compiler *c, struct str key, struct str old, struct str value)
{
	char message[160];
	struct buf text = { .p = message, .cap = sizeof message - 1, .max = sizeof message - 1 };

	if (str_eq(old, value) && !old.p == !value.p)
		return;
	if (c->nerrors < STATE_MAP_ERRORS)
		(void)buf_printf(&text, "\"%.*s\" has another value on line %zu",
				 STR_ARG(str_head(key, 80)), first_line(c, key));
	message[text.tail] = '\0';
	complain(c, message);
}

/* entry_append - returns its offset; 0: the image is full */
static uint32_t entry_append(struct compiler *c, struct str key, struct str value)
{
	size_t table = HEAD + ((size_t)c->map.mask + 1) * SLOT, at = buf_len(c->image) - table;
	uint16_t length[2] = { (uint16_t)key.n, value.p ? (uint16_t)value.n : NO_VALUE };
	char *to = at < UINT32_MAX ? buf_space(c->image, ENTRY + key.n + value.n) : NULL;

	if (!to)
		return 0;
	memcpy(to, length, ENTRY);
	for (size_t i = 0; i < key.n; i++)
		to[ENTRY + i] = lower(key.p[i]);
	if (value.n)
		memcpy(to + ENTRY + key.n, value.p, value.n);
	buf_wrote(c->image, ENTRY + key.n + value.n);
	return (uint32_t)at;
}

static int entry_put(struct compiler *c, struct str key, struct str value)
{
	struct slot s = { .hash = hash(key) };
	uint32_t i = 0;

	c->map.image = buf_str(c->image);
	for (struct slot there; (there = slot_of(&c->map, (s.hash + i) & c->map.mask)).at != 0;
	     i++) {
		struct str k, old;

		if (there.hash != s.hash || !entry_of(&c->map, there.at, &k, &old) ||
		    !str_ieq(k, key))
			continue;
		repeated(c, key, old, value);
		return 0;
	}
	s.at = entry_append(c, key, value);
	if (s.at == 0)
		return -1;
	memcpy(c->image->p + c->image->head + HEAD + (size_t)((s.hash + i) & c->map.mask) * SLOT,
	       &s, sizeof s);
	c->map.count++;
	if (c->map.probes < i + 1)
		c->map.probes = i + 1;
	return 0;
}

static size_t lines_in(struct str text)
{
	struct str rest = text;
	size_t n = 0;

	while (rest.n > 0) {
		(void)line_take(&rest);
		n++;
	}
	return n;
}

/* table_begin - twice as many slots as lines, so that the way to a key stays short */
static bool table_begin(struct compiler *c, size_t lines)
{
	size_t slots = SLOTS_LEAST, size;
	char *to;

	if (lines > STATE_MAP_ENTRIES)
		return false;
	while (slots < lines * 2)
		slots *= 2;
	size = HEAD + slots * SLOT + 1;
	to = buf_space(c->image, size);
	if (!to)
		return false;
	memset(to, 0, size);
	buf_wrote(c->image, size);
	c->map.mask = (uint32_t)slots - 1;
	return true;
}

static void head_write(struct compiler *c)
{
	uint32_t numbers[4] = { c->map.count, c->map.mask + 1, c->map.probes, 0 };
	char *to = c->image->p + c->image->head;

	memcpy(to, magic, sizeof magic);
	memcpy(to + sizeof magic, numbers, sizeof numbers);
}

int state_map_compile(struct str path, struct str text, struct buf *image, struct buf *errors)
{
	struct compiler c = { .path = path, .text = text, .image = image, .errors = errors };
	struct str rest = text, key, value;
	const char *fault;

	assert(buf_len(image) == 0);
	if (!table_begin(&c, lines_in(text))) {
		complain(&c, "the map is too big");
		return -1;
	}
	while (rest.n > 0) {
		struct str line = line_take(&rest);

		c.line++;
		if (line.n == 0 || line.p[0] == '#')
			continue;
		line_split(line, &key, &value);
		fault = entry_fault(line, key, value);
		if (!fault && entry_put(&c, key, value) < 0)
			fault = "the map is too big";
		if (fault)
			complain(&c, fault);
	}
	if (c.nerrors > STATE_MAP_ERRORS)
		(void)buf_printf(errors, "%.*s: %u more problems\n", STR_ARG(path),
				 c.nerrors - STATE_MAP_ERRORS);
	head_write(&c);
	return c.nerrors ? -1 : 0;
}
