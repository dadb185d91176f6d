#include "role.h"

#include "delivery_hop.h"
#include "maildir_serve.h"

/*
 * The roots of all mailboxes are opened before the sandbox is closed; what a reload adds must lie
 * below one of them or be reachable.
 */
static struct {
	struct maildir_serve *serve;
	struct ipc_channel *delivers[MAILDIR_SERVE_CHANNELS];
} files;

#define ROOTS (SETTINGS_ROUTES + 1)

static void add_root(struct str next_hop, struct str *roots, unsigned *n)
{
	struct delivery_hop hop;
	struct str root;

	if (!next_hop.n || delivery_hop_parse(next_hop, &hop, NULL) < 0 || hop.kind != HOP_MAILDIR)
		return;
	root = delivery_hop_root(&hop);
	for (unsigned i = 0; i < *n; i++)
		if (str_eq(roots[i], root))
			return;
	if (root.n && *n < ROOTS)
		roots[(*n)++] = root;
}

static unsigned roots_of(const struct settings *s, struct str *roots)
{
	unsigned n = 0;

	add_root(s->relay_to, roots, &n);
	for (unsigned i = 0; i < s->nroute; i++)
		add_root(s->route[i].value, roots, &n);
	return n;
}

static enum step start(struct role *r, struct fault *why)
{
	static struct str roots[ROOTS];
	unsigned n = roots_of(&r->state.settings, roots);

	files.serve = maildir_serve_new(roots, n, &maildir_disk_real);
	for (unsigned i = 0; i < MAILDIR_SERVE_CHANNELS; i++)
		if (files.delivers[i])
			maildir_serve_channel(files.serve, i, files.delivers[i]);
	return role_enter_sandbox(r, why) < 0 ? STEP_ERROR : STEP_DONE;
}

static void channel(struct role *r, struct role_peer peer, struct ipc_channel *c)
{
	struct ipc_channel *old;

	(void)r;
	if (peer.kind != ROLE_DELIVER || peer.index >= MAILDIR_SERVE_CHANNELS) {
		ipc_channel_close(&c);
		return;
	}
	old = files.delivers[peer.index];
	files.delivers[peer.index] = c;
	if (files.serve)
		maildir_serve_channel(files.serve, peer.index, c);
	ipc_channel_close(&old);
}

static void frame(struct role *r, struct role_peer peer, const struct ipc_frame *f)
{
	(void)r;
	if (files.serve && peer.kind == ROLE_DELIVER)
		maildir_serve_frame(files.serve, peer.index, f);
}

static void writable(struct role *r, struct role_peer peer)
{
	(void)r;
	if (files.serve && peer.kind == ROLE_DELIVER)
		maildir_serve_writable(files.serve, peer.index);
}

static int prepare(struct role *r, struct role_state *next, struct buf *errors)
{
	static struct str roots[ROOTS];
	unsigned n = roots_of(&next->settings, roots);
	struct fault why;

	(void)r;
	for (unsigned i = 0; i < n; i++)
		if (maildir_serve_root(files.serve, roots[i], &why) < 0) {
			buf_printf(errors, "%s\n", why.text);
			return -1;
		}
	return 0;
}

static void stop(struct role *r)
{
	(void)r;
	maildir_serve_free(&files.serve);
}

const struct role_ops role_maildir_ops = {
	.start = start,
	.channel = channel,
	.frame = frame,
	.writable = writable,
	.prepare = prepare,
	.stop = stop,
};
