#include "id.h"

#include "rnd.h"

#include <string.h>

#define TIME_BYTES 6
#define EDGE_AT    TIME_BYTES
#define RANDOM_AT  8

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

struct id id_make(uint64_t wall_us, uint16_t edge)
{
	uint64_t ms = wall_us / 1000;
	struct id id;

	for (int i = TIME_BYTES - 1; i >= 0; i--, ms >>= 8)
		id.b[i] = (uint8_t)ms;
	id.b[EDGE_AT] = (uint8_t)(edge >> 8);
	id.b[EDGE_AT + 1] = (uint8_t)edge;
	rnd_fill(id.b + RANDOM_AT, sizeof id.b - RANDOM_AT);
	return id;
}

uint16_t id_edge(const struct id *id)
{
	return (uint16_t)(id->b[EDGE_AT] << 8 | id->b[EDGE_AT + 1]);
}

uint64_t id_time(const struct id *id)
{
	uint64_t ms = 0;

	for (int i = 0; i < TIME_BYTES; i++)
		ms = ms << 8 | id->b[i];
	return ms * 1000;
}

bool id_is_eq(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* id_text - 26 characters hold 130 bits: the first one has two to spare and stays under 8 */
const char *id_text(const struct id *id, char text[ID_TEXT + 1])
{
	unsigned bits = 0, held = 2;
	size_t next = 0;

	for (int i = 0; i < ID_TEXT; i++) {
		if (held < 5) {
			bits = (bits << 8 | id->b[next++]) & 0xffff;
			held += 8;
		}
		held -= 5;
		text[i] = alphabet[bits >> held & 31];
	}
	text[ID_TEXT] = '\0';
	return text;
}

static int value_of(char c)
{
	const char *hit;

	if (c >= 'A' && c <= 'Z')
		c = (char)(c + ('a' - 'A'));
	if (c == 'i' || c == 'l')
		c = '1';
	if (c == 'o')
		c = '0';
	hit = memchr(alphabet, c, sizeof alphabet - 1);
	return hit ? (int)(hit - alphabet) : -1;
}

bool id_parse(struct str text, struct id *out)
{
	struct id id;
	unsigned bits = 0, held = 0;
	size_t next = 0;

	if (text.n != ID_TEXT || value_of(text.p[0]) > 7)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		int value = value_of(text.p[i]);

		if (value < 0)
			return false;
		bits = (bits << 5 | (unsigned)value) & 0xffff;
		held += i ? 5 : 3;
		if (held >= 8) {
			held -= 8;
			id.b[next++] = (uint8_t)(bits >> held);
		}
	}
	*out = id;
	return true;
}
