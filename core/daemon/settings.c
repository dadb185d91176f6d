#include "settings.h"

#include "settings_schema.h"
#include "settings_tls.h"
#include "settings_unit.h"

#include <string.h>

/*
 * canonical = *line                            ; in the order of the schema
 * line  = key SP value LF  ; one for a single setting, one per element for a list value  = text  ;
 * durations and sizes as the shortest text with units
 *           / name SP text  ; of a map: key and value
 *           / name SP address *( SP key "=" word )   ; of listeners
 *           / path TAB path TAB [ path ]             ; of certificates
 */

/* ---- writing -------------------------------------------------------------------------------- */

static bool write_line(struct buf *out, const struct setting *row, struct str a, struct str b)
{
	return buf_add(out, str_of(row->path)) && buf_byte(out, ' ') && buf_add(out, a) &&
	       (b.p == NULL || (buf_byte(out, ' ') && buf_add(out, b))) && buf_byte(out, '\n');
}

static bool write_single(struct buf *out, const struct setting *row, const struct settings *s)
{
	const void *value = setting_value(row, s);
	char text[SETTINGS_UNIT_TEXT];

	if (row->type == SETTING_FLAG)
		return write_line(out, row, *(const bool *)value ? STR("true") : STR("false"),
				  STR_NONE);
	if (row->type == SETTING_COUNT)
		return buf_printf(out, "%s %u\n", row->path, *(const uint32_t *)value);
	if (row->type == SETTING_SIZE)
		return write_line(out, row,
				  str_of(settings_unit_size_text(*(const uint64_t *)value, text)),
				  STR_NONE);
	if (row->type == SETTING_DURATION)
		return write_line(
			out, row,
			str_of(settings_unit_duration_text(*(const uint64_t *)value, text)),
			STR_NONE);
	return write_line(out, row, *(const struct str *)value, STR_NONE);
}

static bool write_element(struct buf *out, const struct setting *row, const struct settings *s,
			  unsigned i)
{
	if (row->type == SETTING_LISTENERS)
		return buf_printf(out, "%s %.*s %.*s", row->path, STR_ARG(s->listen[i].name),
				  STR_ARG(s->listen[i].address)) &&
		       settings_tls_write(&s->listen[i], out) && buf_byte(out, '\n');
	if (row->type == SETTING_CERTIFICATES)
		return buf_printf(out, "%s ", row->path) &&
		       settings_certificate_write(&s->tls.certificates[i], out) &&
		       buf_byte(out, '\n');
	if (row->type == SETTING_ROUTES || row->type == SETTING_PATHS) {
		const struct settings_pair *pair =
			*(struct settings_pair *const *)setting_value(row, s) + i;

		return write_line(out, row, pair->key, pair->value);
	}
	return write_line(out, row, (*(struct str *const *)setting_value(row, s))[i], STR_NONE);
}

bool settings_write(const struct settings *s, struct buf *out)
{
	for (unsigned r = 0; r < settings_schema_count; r++) {
		const struct setting *row = &settings_schema[r];
		unsigned n;

		if (!setting_is_list(row->type)) {
			if (!write_single(out, row, s))
				return false;
			continue;
		}
		memcpy(&n, (const char *)s + row->count_at, sizeof n);
		for (unsigned i = 0; i < n; i++)
			if (!write_element(out, row, s, i))
				return false;
	}
	return true;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* value_take - consume the next line if it is about this setting */
static bool value_take(struct str *rest, const struct setting *row, struct str *value)
{
	struct str key = str_of(row->path), after = *rest, line;

	if (!str_take(&after, '\n', &line) || !str_has_prefix(line, key) || line.n == key.n ||
	    line.p[key.n] != ' ')
		return false;
	*value = str_drop(line, key.n + 1);
	*rest = after;
	return true;
}

static unsigned count_values(struct str rest, const struct setting *row)
{
	struct str value;
	unsigned n = 0;

	while (n <= row->most && value_take(&rest, row, &value))
		n++;
	return n;
}

static int pair_check(const struct setting *row, struct str name, struct str value,
		      struct fault *why)
{
	if (row->type == SETTING_LISTENERS) {
		if (setting_address_check(value, why) < 0)
			return -1;
		return str_eq(name, value) ? 0 : setting_name_check(name, why);
	}
	if (row->type == SETTING_ROUTES)
		return setting_domain_check(name, true, why) < 0 ? -1
								 : setting_hop_check(value, why);
	return setting_name_check(name, why) < 0 ? -1 : setting_text_check(value, why);
}

static int read_listener(struct settings_listener *l, const struct setting *row, struct str name,
			 struct str rest, struct fault *why)
{
	*l = (struct settings_listener){ .name = name };
	if (!str_take(&rest, ' ', &l->address)) {
		l->address = rest;
		rest = STR_NONE;
	}
	return pair_check(row, name, l->address, why) < 0 ? -1 : settings_tls_read(l, rest, why);
}

static int read_element(const struct setting *row, void *list, unsigned i, struct str value,
			struct fault *why)
{
	struct str name;

	if (row->type == SETTING_DOMAINS || row->type == SETTING_DOMAINS_ALL) {
		((struct str *)list)[i] = value;
		return setting_domain_check(value, row->type == SETTING_DOMAINS_ALL, why);
	}
	if (row->type == SETTING_CERTIFICATES)
		return settings_certificate_read((struct settings_certificate *)list + i, value,
						 why);
	if (!str_take(&value, ' ', &name))
		return fault_set(why, "expected a name and a value");
	if (row->type == SETTING_LISTENERS)
		return read_listener((struct settings_listener *)list + i, row, name, value, why);
	((struct settings_pair *)list)[i] = (struct settings_pair){ name, value };
	return pair_check(row, name, value, why);
}

static size_t element_size(enum setting_type type)
{
	if (type == SETTING_CERTIFICATES)
		return sizeof(struct settings_certificate);
	return type == SETTING_ROUTES || type == SETTING_PATHS ? sizeof(struct settings_pair)
							       : sizeof(struct str);
}

static int read_list(const struct setting *row, struct settings *s, struct str *rest,
		     struct arena *arena, struct fault *why)
{
	unsigned n = count_values(*rest, row);
	void *list = setting_field(row, s);
	struct str value;

	if (n > row->most)
		return fault_set(why, "more than %llu values", (unsigned long long)row->most);
	if (row->type != SETTING_LISTENERS) {
		void *made = arena_alloc(arena, n * element_size(row->type));

		if (!made)
			return fault_set(why, "no memory left for it");
		memcpy(list, &made, sizeof made);
		list = made;
	}
	for (unsigned i = 0; i < n; i++)
		if (!value_take(rest, row, &value) || read_element(row, list, i, value, why) < 0)
			return -1;
	*setting_count(row, s) = n;
	return 0;
}

static int read_row(const struct setting *row, struct settings *s, struct str *rest,
		    struct arena *arena, struct fault *why)
{
	struct str value;

	if (setting_is_list(row->type))
		return read_list(row, s, rest, arena, why);
	if (!value_take(rest, row, &value))
		return fault_set(why, "it is missing");
	return setting_parse(row, s, value, why);
}

int settings_read(struct settings *s, struct str canonical, struct arena *arena, struct fault *why)
{
	struct str rest = arena_str(arena, canonical);
	struct fault detail = { 0 };

	memset(s, 0, sizeof *s);
	if (!rest.p)
		return fault_set(why, "settings of %zu bytes do not fit", canonical.n);
	for (unsigned r = 0; r < settings_schema_count; r++)
		if (read_row(&settings_schema[r], s, &rest, arena, &detail) < 0)
			return fault_set(why, "settings: %s: %.400s", settings_schema[r].path,
					 detail.text);
	if (rest.n)
		return fault_set(why, "settings: unexpected line \"%.*s\"",
				 STR_ARG(str_head(rest, 80)));
	return 0;
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* block_take - consume all lines about a setting */
static struct str block_take(struct str *rest, const struct setting *row)
{
	struct str block = *rest, value;

	while (value_take(rest, row, &value))
		;
	return str_head(block, block.n - rest->n);
}

struct str settings_restart(struct str old_canonical, struct str new_canonical)
{
	for (unsigned r = 0; r < settings_schema_count; r++) {
		struct str before = block_take(&old_canonical, &settings_schema[r]);
		struct str after = block_take(&new_canonical, &settings_schema[r]);

		if (settings_schema[r].restart && !str_eq(before, after))
			return str_of(settings_schema[r].path);
	}
	return STR_NONE;
}
