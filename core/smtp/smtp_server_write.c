#include "smtp_server.h"

#include <assert.h>

#include "smtp_reply.h"

#define HOSTED_MAX 768 /* a host name and the text of a verdict */

/*
 * with_host - RFC 5321 4.2: the text of 220, 221, 421 and of the reply to HELO begins with our
 * name
 */
static struct str with_host(const struct smtp_server *s, const struct smtp_todo *todo, char *text)
{
	struct str words = todo->code == 220 && todo->text.n == 0 ? STR("ESMTP") : todo->text;
	size_t n = str_copy(text, HOSTED_MAX, s->host);

	if (words.n) {
		n += str_copy(text + n, HOSTED_MAX - n, STR(" "));
		n += str_copy(text + n, HOSTED_MAX - n, words);
	}
	return (struct str){ text, n };
}

bool smtp_server_write(const struct smtp_server *s, struct smtp_todo *todo, struct buf *out)
{
	bool names_host = todo->code == 221 || todo->code == 421 ||
			  ((todo->code == 220 || todo->code == 250) && todo->esc.n == 0);
	char text[HOSTED_MAX];
	struct str words = todo->text;

	assert(todo->times > 0);
	if (todo->is_hello)
		return smtp_extension_hello(out, s->host, &s->offers);
	if (names_host)
		words = with_host(s, todo, text);
	for (; todo->times > 0; todo->times--)
		if (!smtp_reply_add(out, todo->code, todo->esc, words))
			return false;
	return true;
}
