#include "tls_core.h"

#include "check.h"
#include "tls_bed.h"

static struct bed_cert first, second, wild;

static int begin(void **state)
{
	(void)state;
	tls_process_init();
	bed_cert(&first, EVP_EC_gen("P-256"), "mx.example", "DNS:MX.example,DNS:mx2.example", NULL);
	bed_cert(&second, EVP_EC_gen("P-256"), "mail.example.org", NULL, NULL);
	bed_cert(&wild, EVP_EC_gen("P-256"), "wild", "DNS:*.example.net", NULL);
	return 0;
}

static int end(void **state)
{
	(void)state;
	bed_cert_free(&first);
	bed_cert_free(&second);
	bed_cert_free(&wild);
	return 0;
}

TEST(a_name_finds_its_certificate_and_nobody_s_the_first)
{
	static const struct {
		const char *asked, *chosen;
		unsigned index;
	} rows[] = {
		{ "mx.example", "mx.example", 0 },
		{ "mx2.example", "mx2.example", 0 },
		{ "MX2.EXAMPLE", "mx2.example", 0 },
		{ "mail.example.org", "mail.example.org", 1 },
		{ "a.example.net", "*.example.net", 2 },
		{ "a.b.example.net", "mx.example", 0 }, /* a wildcard is one label */
		{ "example.net", "mx.example", 0 },
		{ ".example.net", "mx.example", 0 },
		{ "*.example.net", "*.example.net", 2 },
		{ "other.example", "mx.example", 0 },
		{ "", "mx.example", 0 },
	};
	struct tls_store *s = tls_store_new();

	bed_add(s, &first);
	bed_add(s, &second);
	bed_add(s, &wild);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str name = tls_store_choose(s, str_of(rows[i].asked));

		CHECK_STR(i, name, str_of(rows[i].chosen));
		for (unsigned k = 0; k < 3; k++)
			CHECK_INT(i, tls_store_is_for(s, k, name), k == rows[i].index);
	}
	tls_store_drop(&s);
}

TEST(when_it_ends_is_known)
{
	struct tls_store *s = tls_store_new();
	int64_t wanted = time(NULL) + 30 * 86400;

	bed_add(s, &first);
	CHECK(0, tls_store_expires(s, 0) > wanted - 60 && tls_store_expires(s, 0) <= wanted + 60);
	CHECK_STR(0, tls_store_name(s, 0), STR("mx.example"));
	tls_store_drop(&s);
}

TEST(what_does_not_fit_together_is_refused_with_its_reason)
{
	const struct str broken =
		STR("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	const struct {
		struct str cert, key, staple;
		const char *why;
	} rows[] = {
		{ STR(""), first.key_pem, STR(""), "no certificate in PEM" },
		{ STR("hello"), first.key_pem, STR(""), "no certificate in PEM" },
		{ broken, first.key_pem, STR(""), "no certificate in PEM" },
		{ first.pem, STR(""), STR(""), "no private key in PEM" },
		{ first.pem, first.pem, STR(""), "no private key in PEM" },
		{ first.pem, second.key_pem, STR(""), "the key does not belong" },
		{ first.pem, first.key_pem, STR("x"), "not an OCSP response" },
	};
	struct tls_store *s = tls_store_new();

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls_pem pem = { rows[i].cert, rows[i].key, rows[i].staple };
		struct fault why = { 0 };

		CHECK_INT(i, tls_store_add(s, &pem, &why), -1);
		CHECK(i, strstr(why.text, rows[i].why));
		CHECK_INT(i, tls_store_count(s), 0);
	}
	tls_store_drop(&s);
}

TEST(a_damaged_chain_is_refused)
{
	struct tls_store *s = tls_store_new();
	struct tls_pem pem = { .key = first.key_pem };
	struct fault why = { 0 };
	char text[8192];

	(void)snprintf(text, sizeof text, "%.*s%s", STR_ARG(first.pem),
		       "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	pem.certificate = str_of(text);
	CHECK_INT(0, tls_store_add(s, &pem, &why), -1);
	CHECK(0, strstr(why.text, "chain"));
	(void)snprintf(text, sizeof text, "%.*s\nremarks\n%.*s", STR_ARG(first.pem),
		       STR_ARG(second.pem));
	pem.certificate = str_of(text);
	CHECK_INT(1, tls_store_add(s, &pem, &why), 0);
	tls_store_drop(&s);
}

TEST(certificates_are_bounded)
{
	struct tls_store *s = tls_store_new();
	struct tls_pem pem = { .certificate = first.pem, .key = first.key_pem };
	struct fault why = { 0 };

	for (unsigned i = 0; i < TLS_IDENTITIES; i++)
		bed_add(s, &first);
	CHECK_INT(0, tls_store_add(s, &pem, &why), -1);
	CHECK(0, strstr(why.text, "more than 64"));
	tls_store_drop(&s);
}

TEST(authorities_are_certificates)
{
	struct tls_store *s = tls_store_new();
	struct fault why = { 0 };

	CHECK_INT(0, tls_store_trust(s, STR("nothing"), &why), -1);
	CHECK(0, strstr(why.text, "no certificates in PEM"));
	CHECK_INT(1, tls_store_trust(s, second.pem, &why), 0);
	tls_store_drop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_finds_its_certificate_and_nobody_s_the_first),
		cmocka_unit_test(when_it_ends_is_known),
		cmocka_unit_test(what_does_not_fit_together_is_refused_with_its_reason),
		cmocka_unit_test(a_damaged_chain_is_refused),
		cmocka_unit_test(certificates_are_bounded),
		cmocka_unit_test(authorities_are_certificates),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
