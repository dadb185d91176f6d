/* layer: tls */
#include "tls.h"
#include "tls_core.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Made for this: it is nobody's. */
static const char cert[] = "-----BEGIN CERTIFICATE-----\n"
			   "MIIBlzCCAT6gAwIBAgIUY0mnWtjfCsZM2aG8uw9uA21SqOgwCgYIKoZIzj0EAwIw\n"
			   "FTETMBEGA1UEAwwKbXguZXhhbXBsZTAgFw0yNjExMjQxNDQ0MzJaGA8yMTI2MTAz\n"
			   "MTE0NDQzMlowFTETMBEGA1UEAwwKbXguZXhhbXBsZTBZMBMGByqGSM49AgEGCCqG\n"
			   "SM49AwEHA0IABERNPOm2UQ95zYArOzt5f7C54UMv5HqP6dsc0IXCUjh9ycdyC2d+\n"
			   "w4RSUi79erq1PcPLgaB2ccJWwFPdBpjP0b6jajBoMB0GA1UdDgQWBBRVSE1m3jlp\n"
			   "01+9pqX1NuYhXsjEYTAfBgNVHSMEGDAWgBRVSE1m3jlp01+9pqX1NuYhXsjEYTAP\n"
			   "BgNVHRMBAf8EBTADAQH/MBUGA1UdEQQOMAyCCm14LmV4YW1wbGUwCgYIKoZIzj0E\n"
			   "AwIDRwAwRAIgLXUHMZUK9qikzW0NQCex5asB7htnQsD+lIWegZy76u8CIDYmwZtg\n"
			   "Wc5lO7c168aBJ01unYxgKylg1C/vLZFzoXc+\n"
			   "-----END CERTIFICATE-----\n";
static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
			  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDW0tHpFqPLH06omg\n"
			  "ExKBtoPsaHDr+lK/rJx0QOX1+9GhRANCAARETTzptlEPec2AKzs7eX+wueFDL+R6\n"
			  "j+nbHNCFwlI4fcnHcgtnfsOEUlIu/Xq6tT3Dy4GgdnHCVsBT3QaYz9G+\n"
			  "-----END PRIVATE KEY-----\n";

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* files - whatever an operator's files hold, they fit or a reason is given */
static void files(struct str text)
{
	struct tls_store *s = tls_store_new();
	struct tls_pem whole = { .certificate = text, .key = str_of(key) };
	struct tls_pem staple = { str_of(cert), str_of(key), text };
	struct fault why = { 0 };

	check(tls_store_add(s, &whole, &why) == 0 || why.text[0]);
	check(tls_store_add(s, &staple, &why) == 0 || why.text[0]);
	check(tls_store_trust(s, text, &why) == 0 || why.text[0]);
	for (unsigned i = 0; i < tls_store_count(s); i++)
		check(tls_store_choose(s, tls_store_name(s, i)).n == tls_store_name(s, i).n);
	tls_store_drop(&s);
}

/* handshake - whatever a client says, in steps: no plain text comes before the handshake is over */
static void handshake(struct tls_context *c, struct str said, size_t step)
{
	struct tls *t = tls_new(c);
	enum tls_event e = TLS_MORE;
	struct buf plain, out;

	buf_init(&plain, 1 << 16);
	buf_init(&out, 1 << 16);
	while (said.n && e == TLS_MORE) {
		struct str part = str_head(said, step);

		said = str_drop(said, part.n);
		e = tls_receive(t, &part, &plain, &out);
		check(e == TLS_MORE || e == TLS_FAILED || e == TLS_ROOM);
		check(buf_len(&plain) == 0);
	}
	tls_close(t, &out);
	tls_free(&t);
	buf_fini(&plain);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct tls_context *context;
	struct str text = { (const char *)data, n };

	if (!context) {
		struct tls_store *s = tls_store_new();
		struct tls_pem pem = { .certificate = str_of(cert), .key = str_of(key) };
		struct fault why;

		tls_process_init();
		check(tls_store_add(s, &pem, &why) == 0);
		context = tls_context_new(
			&(struct tls_options){ .listener = STR("mx"), .store = s }, &why);
		check(context != NULL);
	}
	if (n == 0)
		return 0;
	if (data[0] & 1)
		files(str_drop(text, 1));
	else
		handshake(context, str_drop(text, 1), 1 + data[0]);
	return 0;
}
