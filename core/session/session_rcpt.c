/*
 * A recipient is answered 250 when a handler accepted or permitted it, or our own rules allow it,
 * and no handler refused. Own rules: the domain is relayed; or it is the postmaster of one of our
 * domains, or the bare <postmaster> (RFC 5321 4.5.1). What is allowed must also have somewhere to
 * go, as far as that can be known here.
 */
#include "session_private.h"

#include "counter.h"

static struct str sender_text(const struct smtp_command *c)
{
	return c->path.kind == ADDRESS_NULL ? STR_NONE : c->path.text;
}

bool session_rcpt_begin(struct session *s, const struct smtp_command *c)
{
	struct session_tx *tx = session_tx_new(s);
	struct str sender = sender_text(c);

	s->tx = tx;
	tx->view.size = c->params.size;
	tx->view.is_8bit = c->params.body == SMTP_BODY_8BITMIME;
	tx->view.sender_original = arena_str(&tx->arena, sender);
	if (sender.n && !policy_address_copy(&tx->arena, sender, &tx->view.sender))
		return false;
	return session_tx_charge(tx);
}

struct policy_rcpt *session_rcpt_add(struct session *s, const struct smtp_command *c)
{
	struct session_tx *tx = s->tx;
	bool is_bare = c->path.kind == ADDRESS_POSTMASTER;
	struct policy_address address;
	struct policy_rcpt *r;

	if (!session_tx_charge(tx))
		return NULL;
	if (!policy_address_copy(&tx->arena, is_bare ? tx->config->postmaster : c->path.text,
				 &address))
		return NULL;
	r = policy_rcpt_add(&tx->view, address);
	if (!r)
		return NULL;
	r->original = arena_str(&tx->arena, c->path.text);
	return r;
}

/* session_rcpt_note - so that the message's event tells of it; one of too many is only counted */
void session_rcpt_note(struct session *s, const struct smtp_command *c,
		       const struct smtp_todo *said)
{
	struct policy_rcpt *r = said->code >= 500 ? session_rcpt_add(s, c) : NULL;

	counter_add(COUNTER_RCPT_REFUSED, 1);
	if (!r)
		return;
	r->state = RCPT_REFUSED;
	r->verdict.kind = VERDICT_REJECT;
	r->verdict.code = said->code;
	r->verdict.text = said->text;
	(void)str_copy(r->verdict.esc, sizeof r->verdict.esc, said->esc);
}

static bool is_postmaster(const struct session *s, const struct policy_rcpt *r)
{
	bool is_bare = str_ieq(r->original, STR("postmaster"));

	return str_ieq(r->address.local, STR("postmaster")) &&
	       (is_bare || session_config_is_ours(s->tx->config, r->address.domain));
}

/*
 * "5.1.x" is about the mailbox: no rule can know that there is no postmaster. Other reasons to
 * refuse stand.
 */
bool session_rcpt_overrules(const struct session *s, const struct policy_rcpt *r,
			    const struct verdict *v)
{
	return v->kind == VERDICT_REJECT && str_has_prefix(str_of(v->esc), STR("5.1.")) &&
	       is_postmaster(s, r);
}

static bool is_allowed(const struct session *s, const struct policy_rcpt *r)
{
	return r->is_permitted || session_config_relays(s->tx->config, r->address.domain) ||
	       is_postmaster(s, r);
}

/* may_have_route - a `route` handler can name any next hop later */
static bool may_have_route(const struct session *s, const struct policy_rcpt *r)
{
	return r->route.n || session_config_routes(s->tx->config, r->address.domain) ||
	       policy_answers(s->tx->view.generation, HOOK_ROUTE);
}

struct session_refusal session_rcpt_judge(struct session *s, struct policy_rcpt *r)
{
	if (!is_allowed(s, r))
		return session_refusal_own("relay", 550, "5.7.1", "relaying denied");
	if (!may_have_route(s, r))
		return session_refusal_own("route", 550, "5.4.4", "no route to this domain");
	return (struct session_refusal){ .stage = NULL };
}
