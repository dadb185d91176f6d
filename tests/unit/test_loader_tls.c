#define _GNU_SOURCE /* memmem */
#include "loader_tls.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "loader.h"
#include "snapshot.h"
#include "snapshot_secret.h"
#include "tls_bed.h"

static char folder[] = "/tmp/moongate-tls-XXXXXX";
static const unsigned char secret[SNAPSHOT_SECRET] = "secret";
static struct bed_cert mx, other;

static void put(const char *path, struct str text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), text.n);
	(void)close(fd);
}

static const char *const files[] = { "moongate.lua", "mx.pem", "mx.key", "other.pem",
				     "other.key",    "ca.pem", "junk" };

static int begin(void **state)
{
	(void)state;
	tls_process_init();
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	bed_cert(&mx, EVP_EC_gen("P-256"), "mx.example", "DNS:mx.example", NULL);
	bed_cert(&other, EVP_EC_gen("P-256"), "other.example", "DNS:other.example", NULL);
	put("mx.pem", mx.pem);
	put("mx.key", mx.key_pem);
	put("other.pem", other.pem);
	put("other.key", other.key_pem);
	put("ca.pem", other.pem);
	put("junk", STR("junk"));
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(files); i++)
		(void)unlink(files[i]);
	bed_cert_free(&mx);
	bed_cert_free(&other);
	return chdir("/") < 0 ? -1 : rmdir(folder);
}

static int load(const char *tls, const char *listen, const unsigned char *with, struct buf *errors)
{
	char text[1024];
	int n = snprintf(
		text, sizeof text,
		"return { relay = { domains = 'example.com', to = '127.0.0.1:1' }, tls = { "
		"warn = 0, %s },\nlisten = { { address = '127.0.0.1:2525', name = 'mx'%s } } }",
		tls, listen);
	int fd;

	put("moongate.lua", (struct str){ text, (size_t)n });
	buf_init(errors, 1 << 20);
	fd = loader_run("moongate.lua", with, errors);
	assert_true(buf_byte(errors, '\0'));
	return fd;
}

#define PAIR "certificates = { { cert = 'mx.pem', key = 'mx.key' } }"

static const struct {
	const char *tls, *listen, *report;
} wrong[] = {
	{ "certificates = { { cert = 'mx.pem', key = 'none' } }", "", "tls: none: No such file" },
	{ "certificates = { { cert = 'none', key = 'mx.key' } }", "", "tls: none: No such file" },
	{ "certificates = { { cert = 'junk', key = 'mx.key' } }", "",
	  "tls.certificates: junk: no certificate in PEM was found" },
	{ "certificates = { { cert = 'mx.pem', key = 'other.key' } }", "",
	  "tls.certificates: mx.pem: the key does not belong to the certificate" },
	{ "certificates = { { cert = 'mx.pem', key = 'mx.key', ocsp = 'junk' } }", "",
	  "tls.certificates: mx.pem: not an OCSP response in DER" },
	{ PAIR ", authorities = 'junk'", "", "tls.authorities: junk: no certificates in PEM" },
	{ PAIR, ", tls_ciphers = 'AES128-SHA'", "listen: mx: AES128-SHA is not AEAD with ECDHE" },
	{ PAIR, ", tls_ciphers = 'nonsense'", "listen: mx: no cipher has such a name" },
};

TEST(what_would_leave_a_listener_without_tls_is_refused_and_shows_no_secret)
{
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct buf errors;
		int fd = load(wrong[i].tls, wrong[i].listen, secret, &errors);

		CHECK_INT(i, fd, -1);
		if (!strstr(buf_str(&errors).p, wrong[i].report))
			fail_msg("row %zu: %s", i, buf_str(&errors).p);
		CHECK(i, !strstr(buf_str(&errors).p, "PRIVATE"));
		buf_fini(&errors);
	}
}

static bool holds(const struct snapshot *s, struct str text)
{
	return memmem(s->p, s->n, text.p, text.n) != NULL;
}

TEST(the_snapshot_has_certificates_open_and_keys_sealed)
{
	for (int sealed = 0; sealed < 2; sealed++) {
		unsigned char key[LOADER_KEY];
		struct snapshot s;
		struct buf errors;
		struct fault why;
		struct str found;
		ptrdiff_t n;
		int fd = load(PAIR ", authorities = 'ca.pem'", "", sealed ? secret : NULL, &errors);

		if (fd < 0)
			fail_msg("%s", buf_str(&errors).p);
		assert_int_equal(snapshot_map(fd, &s, &why), 0);
		CHECK_STR(0, snapshot_find(&s, SNAPSHOT_CERTIFICATE, STR("0")), mx.pem);
		CHECK_STR(0, snapshot_find(&s, SNAPSHOT_AUTHORITIES, STR("")), other.pem);
		CHECK(0, !holds(&s, str_head(str_drop(mx.key_pem, 40), 40)));
		found = snapshot_find(&s, SNAPSHOT_KEY, STR("0"));
		CHECK_INT(sealed, found.p != NULL, sealed);
		n = sealed ? snapshot_secret_open(secret, found, key, sizeof key) : 0;
		CHECK_INT(sealed, n, sealed ? mx.key_pem.n : 0);
		assert_memory_equal(key, mx.key_pem.p, (size_t)n);
		snapshot_unmap(&s);
		(void)close(fd);
		buf_fini(&errors);
	}
}

TEST(a_listener_offers_starttls_where_there_is_a_certificate)
{
	static const struct {
		const char *tls, *listen;
		bool offers;
	} rows[] = { { PAIR, "", true }, { PAIR, ", tls = 'off'", false }, { "", "", false } };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct snapshot s;
		struct buf errors;
		struct fault why;
		int fd = load(rows[i].tls, rows[i].listen, NULL, &errors);

		assert_int_equal(snapshot_map(fd, &s, &why), 0);
		CHECK_INT(i, holds(&s, STR("listen mx 127.0.0.1:2525 tls=starttls\n")),
			  rows[i].offers);
		snapshot_unmap(&s);
		(void)close(fd);
		buf_fini(&errors);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_would_leave_a_listener_without_tls_is_refused_and_shows_no_secret),
		cmocka_unit_test(the_snapshot_has_certificates_open_and_keys_sealed),
		cmocka_unit_test(a_listener_offers_starttls_where_there_is_a_certificate),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
