#include "tls_core.h"

#include "check.h"
#include "tls_bed.h"

static struct bed_cert mx, rsa, other, authority, known, unknown;
static struct tls_store *store;

static int begin(void **state)
{
	struct fault why;

	(void)state;
	tls_process_init();
	bed_cert(&mx, EVP_EC_gen("P-256"), "mx.example", "DNS:mx.example", NULL);
	bed_cert(&rsa, EVP_RSA_gen(2048), "mx.example", "DNS:mx.example", NULL);
	bed_cert(&other, EVP_EC_gen("P-256"), "other", "DNS:*.other.example", NULL);
	bed_cert(&authority, EVP_EC_gen("P-256"), "authority", NULL, NULL);
	bed_cert(&known, EVP_EC_gen("P-256"), "known", "DNS:known.example", &authority);
	bed_cert(&unknown, EVP_EC_gen("P-256"), "u\xc3\xa9", "DNS:u.example", NULL);
	store = tls_store_new();
	bed_add(store, &mx);
	bed_add(store, &rsa);
	bed_add(store, &other);
	return tls_store_trust(store, authority.pem, &why);
}

static int end(void **state)
{
	(void)state;
	tls_store_drop(&store);
	bed_cert_free(&mx);
	bed_cert_free(&rsa);
	bed_cert_free(&other);
	bed_cert_free(&authority);
	bed_cert_free(&known);
	bed_cert_free(&unknown);
	return 0;
}

/* Both ends of one connection. */
struct pair {
	struct tls_client client;
	struct tls_context *context;
	struct tls *tls;
	struct buf plain, out; /* of the server */
	enum tls_event last;
	size_t step; /* bytes shown to the server at once */
	unsigned secured;
};

static void pair_init(struct pair *p, const struct tls_options *o)
{
	struct tls_options options = *o;

	*p = (struct pair){ .step = SIZE_MAX };
	options.store = options.store ? options.store : store;
	options.listener = options.listener.n ? options.listener : STR("mx");
	p->context = bed_context(&options);
	tls_client_init(&p->client);
	buf_init(&p->plain, 1 << 20);
	buf_init(&p->out, 1 << 20);
}

static void pair_fini(struct pair *p)
{
	tls_free(&p->tls);
	tls_client_fini(&p->client);
	tls_context_drop(&p->context);
	buf_fini(&p->plain);
	buf_fini(&p->out);
}

static void pair_begin(struct pair *p)
{
	tls_free(&p->tls);
	p->tls = tls_new(p->context);
	assert_non_null(p->tls);
	p->secured = 0;
	p->last = TLS_MORE;
	buf_reset(&p->plain);
	buf_reset(&p->out);
	tls_client_begin(&p->client);
}

/* serve - show the server what was said, in steps; or let it go on where it had no room */
static void serve(struct pair *p, struct str said)
{
	do {
		struct str part = str_head(said, p->step);

		said = str_drop(said, part.n);
		do {
			p->last = tls_receive(p->tls, &part, &p->plain, &p->out);
			p->secured += p->last == TLS_SECURED;
		} while (p->last == TLS_BYTES || p->last == TLS_SECURED);
		if (p->last == TLS_FAILED || p->last == TLS_CLOSED)
			return;
		CHECK_INT(0, part.n, 0);
	} while (said.n);
}

/* exchange - until neither has anything to say; what the client reads comes into `got` */
static size_t exchange(struct pair *p, char *got, size_t room)
{
	size_t have = 0;

	for (unsigned round = 0; round < 100000; round++) {
		struct str said;
		int n = SSL_is_init_finished(p->client.ssl)
				? SSL_read(p->client.ssl, got + have, (int)(room - have))
			: SSL_do_handshake(p->client.ssl) == 1 ? 0
							       : -1;

		if (n > 0)
			have += (size_t)n;
		said = tls_client_say(&p->client);
		if (said.n || p->last == TLS_ROOM)
			serve(p, said);
		if (n <= 0 && !said.n && !buf_len(&p->out))
			return have;
		tls_client_hear(&p->client, buf_str(&p->out));
		buf_reset(&p->out);
	}
	fail_msg("they talk for ever");
	return 0;
}

static bool shake(struct pair *p)
{
	char none[16];

	pair_begin(p);
	(void)exchange(p, none, sizeof none);
	return SSL_is_init_finished(p->client.ssl) && p->secured == 1;
}

static enum tls_failure failure_of(const struct pair *p)
{
	struct fault why;

	return tls_failure(p->tls, &why);
}

/* ---- versions, ciphers */

TEST(only_modern_versions_and_ciphers_are_spoken)
{
	static const struct {
		int least, most;
		const char *ciphers;
		enum tls_floor floor;
		bool works;
		enum tls_failure failure;
		const char *version;
	} rows[] = {
		{ TLS1_3_VERSION, TLS1_3_VERSION, NULL, TLS_FLOOR_1_2, true, 0, "TLSv1.3" },
		{ TLS1_2_VERSION, TLS1_2_VERSION, NULL, TLS_FLOOR_1_2, true, 0, "TLSv1.2" },
		{ TLS1_2_VERSION, TLS1_2_VERSION, NULL, TLS_FLOOR_1_3, false, TLS_FAILURE_VERSION,
		  0 },
		{ TLS1_VERSION, TLS1_1_VERSION, NULL, TLS_FLOOR_1_2, false, TLS_FAILURE_VERSION,
		  0 },
		{ TLS1_2_VERSION, TLS1_2_VERSION, "AES128-GCM-SHA256", TLS_FLOOR_1_2, false,
		  TLS_FAILURE_CIPHER, 0 },
		{ TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", TLS_FLOOR_1_2, false,
		  TLS_FAILURE_CIPHER, 0 },
		{ TLS1_2_VERSION, TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", TLS_FLOOR_1_2, false,
		  TLS_FAILURE_CIPHER, 0 },
		{ TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", TLS_FLOOR_1_2,
		  true, 0, "TLSv1.2" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls_facts facts;
		struct pair p;

		pair_init(&p, &(struct tls_options){ .floor = rows[i].floor });
		SSL_CTX_set_min_proto_version(p.client.ctx, rows[i].least);
		SSL_CTX_set_max_proto_version(p.client.ctx, rows[i].most);
		if (rows[i].ciphers)
			assert_int_equal(SSL_CTX_set_cipher_list(p.client.ctx, rows[i].ciphers), 1);
		CHECK_INT(i, shake(&p), rows[i].works);
		CHECK_INT(i, failure_of(&p), rows[i].failure);
		if (rows[i].works) {
			tls_facts(p.tls, &facts);
			CHECK_STR(i, str_of(facts.version), str_of(rows[i].version));
			CHECK_STR(i, str_of(facts.cipher), str_of(SSL_get_cipher(p.client.ssl)));
		}
		pair_fini(&p);
	}
}

TEST(a_cipher_that_is_not_modern_cannot_be_configured)
{
	static const struct {
		const char *ciphers, *why;
	} rows[] = {
		{ "ECDHE+AESGCM", NULL },
		{ "AES128-SHA", "AES128-SHA is not AEAD with ECDHE" },
		{ "ECDHE-RSA-AES128-SHA256", "is not AEAD with ECDHE" },
		{ "DHE-RSA-AES128-GCM-SHA256", "is not AEAD with ECDHE" },
		{ "nonsense", "no cipher has such a name" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls_options o = { .listener = STR("mx"),
					 .store = store,
					 .ciphers = str_of(rows[i].ciphers) };
		struct fault why = { 0 };
		struct tls_context *c = tls_context_new(&o, &why);

		CHECK_INT(i, c != NULL, rows[i].why == NULL);
		CHECK(i, !rows[i].why || strstr(why.text, rows[i].why));
		tls_context_drop(&c);
	}
}

/* ---- bytes */

TEST(chunks_and_records_change_nothing)
{
	static char bytes[100000], back[100000];
	static const size_t steps[] = { 1, 7, 1000, SIZE_MAX };

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 31 >> 3);
	for (size_t i = 0; i < COUNT(steps); i++) {
		struct pair p;
		size_t have;

		pair_init(&p, &(struct tls_options){ 0 });
		p.step = steps[i];
		CHECK(i, shake(&p));
		assert_int_equal(SSL_write(p.client.ssl, bytes, sizeof bytes), sizeof bytes);
		(void)exchange(&p, back, sizeof back);
		CHECK_STR(i, buf_str(&p.plain), ((struct str){ bytes, sizeof bytes }));
		CHECK(i, tls_send(p.tls, &p.plain, &p.out));
		CHECK_INT(i, buf_len(&p.plain), 0);
		have = exchange(&p, back, sizeof back);
		CHECK_INT(i, have, sizeof bytes);
		assert_memory_equal(back, bytes, sizeof bytes);
		pair_fini(&p);
	}
}

/* Whatever room there is, nothing is lost: what cannot be written or shown waits. */
TEST(small_buffers_only_take_longer)
{
	char back[4096];
	struct pair p;
	size_t have = 0;

	pair_init(&p, &(struct tls_options){ 0 });
	buf_fini(&p.out);
	buf_init(&p.out, 600); /* our first flight is longer */
	CHECK(0, shake(&p));
	assert_int_equal(SSL_write(p.client.ssl, back, sizeof back), sizeof back);
	buf_fini(&p.plain);
	buf_init(&p.plain, 1000);
	for (struct str said = tls_client_say(&p.client); have < sizeof back;) {
		enum tls_event e = tls_receive(p.tls, &said, &p.plain, &p.out);

		CHECK(have, e == TLS_BYTES || e == TLS_ROOM);
		CHECK_INT(have, e == TLS_ROOM, buf_len(&p.plain) == 1000 && e != TLS_BYTES);
		if (e == TLS_BYTES)
			continue;
		have += buf_len(&p.plain);
		buf_reset(&p.plain);
		if (have < sizeof back)
			CHECK(have, tls_has_more(p.tls));
		if (have == 4000)
			break;
	}
	serve(&p, STR_NONE);
	CHECK_INT(1, have + buf_len(&p.plain), sizeof back);
	pair_fini(&p);
}

TEST(a_goodbye_is_told_apart_from_a_cut)
{
	char none[16];
	struct pair p;

	pair_init(&p, &(struct tls_options){ 0 });
	CHECK(0, shake(&p));
	tls_close(p.tls, &p.out);
	tls_client_hear(&p.client, buf_str(&p.out));
	buf_reset(&p.out);
	CHECK_INT(0, SSL_read(p.client.ssl, none, sizeof none), 0);
	CHECK_INT(0, SSL_get_shutdown(p.client.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	(void)SSL_shutdown(p.client.ssl);
	serve(&p, tls_client_say(&p.client));
	CHECK_INT(1, p.last, TLS_CLOSED);
	pair_fini(&p);
}

TEST(what_is_no_tls_fails_by_name)
{
	static const struct {
		const char *said;
		enum tls_failure failure;
	} rows[] = {
		{ "EHLO client.example\r\n", TLS_FAILURE_NO_TLS },
		{ "GET / HTTP/1.1\r\n\r\n", TLS_FAILURE_NO_TLS },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pair p;

		pair_init(&p, &(struct tls_options){ 0 });
		pair_begin(&p);
		serve(&p, str_of(rows[i].said));
		CHECK_INT(i, p.last, TLS_FAILED);
		CHECK_INT(i, failure_of(&p), rows[i].failure);
		CHECK_INT(i, buf_len(&p.plain), 0);
		pair_fini(&p);
	}
}

TEST(a_damaged_record_ends_it)
{
	struct pair p;
	struct str said;
	char copy[1000];

	pair_init(&p, &(struct tls_options){ 0 });
	CHECK(0, shake(&p));
	assert_int_equal(SSL_write(p.client.ssl, "hello", 5), 5);
	said = tls_client_say(&p.client);
	assert_true(said.n < sizeof copy);
	memcpy(copy, said.p, said.n);
	copy[said.n - 1] ^= 1;
	serve(&p, (struct str){ copy, said.n });
	CHECK_INT(0, p.last, TLS_FAILED);
	CHECK_INT(0, buf_len(&p.plain), 0);
	CHECK(0, buf_len(&p.out) > 0); /* an alert */
	pair_fini(&p);
}

/* RFC 5746: the client asks for another handshake within the first one. */
TEST(nothing_is_renegotiated)
{
	char none[16];
	struct pair p;

	pair_init(&p, &(struct tls_options){ 0 });
	SSL_CTX_set_max_proto_version(p.client.ctx, TLS1_2_VERSION);
	CHECK(0, shake(&p));
	CHECK_INT(0, SSL_renegotiate(p.client.ssl), 1);
	(void)SSL_do_handshake(p.client.ssl);
	(void)exchange(&p, none, sizeof none);
	CHECK_INT(0, p.secured, 1);
	CHECK_INT(0, SSL_is_init_finished(p.client.ssl), 0); /* refused by an alert */
	pair_fini(&p);
}

/* ---- names */

static bool shows(struct pair *p, const struct bed_cert *wanted)
{
	X509 *got = SSL_get1_peer_certificate(p->client.ssl);
	bool is_same = got && X509_cmp(got, wanted->cert) == 0;

	X509_free(got);
	return is_same;
}

TEST(the_name_asked_for_chooses_the_certificate)
{
	static const struct {
		const char *name, *seen;
		const struct bed_cert *cert;
	} rows[] = {
		{ NULL, "", &mx },
		{ "mx.example", "mx.example", &mx },
		{ "A.other.example", "a.other.example", &other },
		{ "stranger.example", "stranger.example", &mx },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls_facts facts;
		struct pair p;

		pair_init(&p, &(struct tls_options){ 0 });
		pair_begin(&p);
		if (rows[i].name)
			SSL_set_tlsext_host_name(p.client.ssl, rows[i].name);
		(void)exchange(&p, (char[1]){ 0 }, 1);
		CHECK_INT(i, p.secured, 1);
		CHECK(i, shows(&p, rows[i].cert));
		tls_facts(p.tls, &facts);
		CHECK_STR(i, str_of(facts.name), str_of(rows[i].seen));
		pair_fini(&p);
	}
}

TEST(a_client_that_knows_only_rsa_gets_rsa)
{
	struct pair p;

	pair_init(&p, &(struct tls_options){ 0 });
	assert_int_equal(SSL_CTX_set1_sigalgs_list(p.client.ctx, "rsa_pss_rsae_sha256"), 1);
	CHECK(0, shake(&p));
	CHECK(0, shows(&p, &rsa));
	pair_fini(&p);
}

TEST(protocols_other_than_mail_are_cut)
{
	static const struct {
		const char *offer;
		bool works;
	} rows[] = { { "\2h2\10http/1.1", false }, { "\4smtp", true }, { "\2h2\4smtp", true } };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pair p;

		pair_init(&p, &(struct tls_options){ 0 });
		(void)SSL_CTX_set_alpn_protos(p.client.ctx, (const unsigned char *)rows[i].offer,
					      (unsigned)strlen(rows[i].offer));
		CHECK_INT(i, shake(&p), rows[i].works);
		pair_fini(&p);
	}
}

/* ---- clients */

TEST(a_client_s_certificate_is_as_good_as_its_authority)
{
	static const struct {
		enum tls_clients clients;
		const struct bed_cert *shown;
		bool works, is_seen, is_verified;
		const char *subject;
	} rows[] = {
		{ TLS_CLIENTS_OFF, &known, true, false, false, "" },
		{ TLS_CLIENTS_REQUEST, NULL, true, false, false, "" },
		{ TLS_CLIENTS_REQUEST, &known, true, true, true, "CN=known" },
		{ TLS_CLIENTS_REQUEST, &unknown, true, true, false, "CN=u\\C3\\A9" },
		{ TLS_CLIENTS_REQUIRE, NULL, false, false, false, "" },
		{ TLS_CLIENTS_REQUIRE, &known, true, true, true, "CN=known" },
		{ TLS_CLIENTS_REQUIRE, &unknown, false, false, false, "" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls_facts facts;
		struct pair p;

		pair_init(&p, &(struct tls_options){ .clients = rows[i].clients });
		if (rows[i].shown) {
			SSL_CTX_use_certificate(p.client.ctx, rows[i].shown->cert);
			SSL_CTX_use_PrivateKey(p.client.ctx, rows[i].shown->key);
		}
		(void)shake(&p);
		CHECK_INT(i, p.secured == 1, rows[i].works);
		if (!rows[i].works) {
			CHECK_INT(i, failure_of(&p), TLS_FAILURE_CERTIFICATE);
		} else {
			tls_facts(p.tls, &facts);
			CHECK_INT(i, facts.has_certificate, rows[i].is_seen);
			CHECK_INT(i, facts.is_verified, rows[i].is_verified);
			CHECK_STR(i, str_of(facts.subject), str_of(rows[i].subject));
			CHECK_INT(i, strlen(facts.fingerprint), rows[i].is_seen ? 64 : 0);
			CHECK_INT(i, facts.problem != NULL,
				  rows[i].is_seen && !rows[i].is_verified);
		}
		pair_fini(&p);
	}
}

/* ---- tickets */

static bool resumes(struct pair *p)
{
	struct tls_facts facts;

	pair_begin(p);
	assert_non_null(p->client.session);
	assert_int_equal(SSL_set_session(p->client.ssl, p->client.session), 1);
	(void)exchange(p, (char[1]){ 0 }, 1);
	CHECK_INT(0, p->secured, 1);
	tls_facts(p->tls, &facts);
	CHECK_INT(0, facts.is_resumed, SSL_session_reused(p->client.ssl));
	return facts.is_resumed;
}

TEST(a_ticket_is_good_at_its_listener_in_every_edge_and_nowhere_else)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (size_t i = 0; i < COUNT(versions); i++) {
		struct tls_tickets tickets, another_edge;
		struct tls_options o = { .listener = STR("mx"),
					 .tickets = &tickets,
					 .store = store };
		struct tls_context *mine, *edge, *submission;
		struct pair p;

		tls_tickets_init(&tickets, 0);
		another_edge = tickets;
		pair_init(&p, &o);
		mine = p.context;
		o.tickets = &another_edge;
		edge = bed_context(&o);
		o.listener = STR("submission");
		submission = bed_context(&o);
		SSL_CTX_set_max_proto_version(p.client.ctx, versions[i]);
		CHECK(i, shake(&p));
		CHECK(i, resumes(&p));
		p.context = edge;
		CHECK(i, resumes(&p));
		p.context = submission;
		CHECK(i, !resumes(&p));
		p.context = mine;
		tls_context_drop(&edge);
		tls_context_drop(&submission);
		pair_fini(&p);
	}
}

TEST(without_keys_there_are_no_tickets)
{
	struct pair p;

	pair_init(&p, &(struct tls_options){ 0 });
	CHECK(0, shake(&p));
	CHECK(0, p.client.session == NULL || !SSL_SESSION_has_ticket(p.client.session));
	pair_fini(&p);
}

TEST(a_connection_outlives_its_context)
{
	struct tls_tickets tickets;
	struct pair p;

	tls_tickets_init(&tickets, 0);
	pair_init(&p, &(struct tls_options){ .tickets = &tickets });
	pair_begin(&p);
	tls_context_drop(&p.context);
	(void)exchange(&p, (char[1]){ 0 }, 1);
	CHECK_INT(0, p.secured, 1);
	pair_fini(&p);
}

TEST(a_stapled_answer_is_sent_to_who_asks)
{
	OCSP_RESPONSE *response =
		OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL); /* any will do */
	unsigned char *der = NULL;
	int n = i2d_OCSP_RESPONSE(response, &der);
	struct tls_store *stapled = tls_store_new();
	const unsigned char *got;
	struct fault why;
	struct pair p;

	assert_int_equal(
		tls_store_add(
			stapled,
			&(struct tls_pem){ mx.pem, mx.key_pem, { (const char *)der, (size_t)n } },
			&why),
		0);
	pair_init(&p, &(struct tls_options){ .store = stapled });
	SSL_CTX_set_tlsext_status_type(p.client.ctx, TLSEXT_STATUSTYPE_ocsp);
	CHECK(0, shake(&p));
	CHECK_INT(0, SSL_get_tlsext_status_ocsp_resp(p.client.ssl, &got), n);
	assert_memory_equal(got, der, (size_t)n);
	pair_fini(&p);
	tls_store_drop(&stapled);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_modern_versions_and_ciphers_are_spoken),
		cmocka_unit_test(a_cipher_that_is_not_modern_cannot_be_configured),
		cmocka_unit_test(chunks_and_records_change_nothing),
		cmocka_unit_test(small_buffers_only_take_longer),
		cmocka_unit_test(a_goodbye_is_told_apart_from_a_cut),
		cmocka_unit_test(what_is_no_tls_fails_by_name),
		cmocka_unit_test(a_damaged_record_ends_it),
		cmocka_unit_test(nothing_is_renegotiated),
		cmocka_unit_test(the_name_asked_for_chooses_the_certificate),
		cmocka_unit_test(a_client_that_knows_only_rsa_gets_rsa),
		cmocka_unit_test(protocols_other_than_mail_are_cut),
		cmocka_unit_test(a_client_s_certificate_is_as_good_as_its_authority),
		cmocka_unit_test(a_ticket_is_good_at_its_listener_in_every_edge_and_nowhere_else),
		cmocka_unit_test(without_keys_there_are_no_tickets),
		cmocka_unit_test(a_connection_outlives_its_context),
		cmocka_unit_test(a_stapled_answer_is_sent_to_who_asks),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
