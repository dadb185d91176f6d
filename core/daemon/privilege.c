#include "privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

struct account {
	uid_t uid;
	gid_t gid;
};

static int named_account(struct str name, struct account *out, struct fault *why)
{
	char text[256];
	const struct passwd *pw;

	str_copy(text, sizeof text, name);
	pw = getpwnam(text);
	if (!pw)
		return fault_set(why, "there is no user `%s`", text);
	*out = (struct account){ pw->pw_uid, pw->pw_gid };
	return 0;
}

/* account_of - the user of the settings, else who owns the spool directory already, else nobody */
static int account_of(const struct settings *s, struct account *out, struct fault *why)
{
	char path[PATH_BYTES];
	struct stat st;
	int rc = 0;

	str_copy(path, sizeof path, s->spool);
	if (s->user.n)
		rc = named_account(s->user, out, why);
	else if (stat(path, &st) == 0 && st.st_uid != 0)
		*out = (struct account){ st.st_uid, st.st_gid };
	else
		rc = named_account(STR("nobody"), out, why);
	if (rc == 0 && out->uid == 0)
		return fault_set(why,
				 "moongate does not run as root: name another user in settings");
	return rc;
}

long privilege_owner(const struct settings *s)
{
	struct account who;

	return account_of(s, &who, NULL) < 0 ? -1 : (long)who.uid;
}

/* own_directory - there, and the account's; only what is missing or root's is changed */
static int own_directory(const char *path, mode_t mode, struct account who, struct fault *why)
{
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return fault_sys(why, "cannot make %s", path);
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return fault_set(why, "%s is not a directory", path);
	if (st.st_uid == who.uid)
		return 0;
	if (st.st_uid != 0 || lchown(path, who.uid, who.gid) < 0)
		return fault_set(why, "%s does not belong to the user that moongate runs as", path);
	return 0;
}

/* control_directory - /run/moongate and the like: made when missing, never taken from somebody */
static int control_directory(const struct settings *s, struct account who, struct fault *why)
{
	char path[PATH_BYTES];
	char *slash;
	struct stat st;

	str_copy(path, sizeof path, s->control);
	slash = strrchr(path, '/');
	if (!slash || slash == path)
		return 0;
	*slash = '\0';
	if (stat(path, &st) == 0)
		return 0;
	return own_directory(path, 0755, who, why);
}

int privilege_prepare(const struct settings *s, struct fault *why)
{
	struct account who;
	char path[PATH_BYTES];

	str_copy(path, sizeof path, s->spool);
	if (geteuid() != 0) {
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return fault_sys(why, "cannot make the spool directory %s", path);
		return 0;
	}
	if (account_of(s, &who, why) < 0 || own_directory(path, 0700, who, why) < 0)
		return -1;
	return control_directory(s, who, why);
}

int privilege_give_socket(const struct settings *s, struct fault *why)
{
	struct account who;
	char path[PATH_BYTES];

	str_copy(path, sizeof path, s->control);
	if (chmod(path, 0600) < 0)
		return fault_sys(why, "cannot protect the control socket %s", path);
	if (geteuid() != 0)
		return 0;
	if (account_of(s, &who, why) < 0)
		return -1;
	if (lchown(path, who.uid, who.gid) < 0)
		return fault_sys(why, "cannot give away the control socket %s", path);
	return 0;
}

int privilege_drop(const struct settings *s, struct fault *why)
{
	struct account who;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fault_sys(why, "no_new_privs");
	if (geteuid() != 0)
		return 0;
	if (account_of(s, &who, why) < 0)
		return -1;
	/* inheritable while that is still allowed: for privilege_bequeath */
	capng_get_caps_process();
	capng_update(CAPNG_ADD, CAPNG_INHERITABLE, CAP_NET_BIND_SERVICE);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return fault_set(why, "cannot keep the right to bind ports");
	capng_clear(CAPNG_SELECT_BOTH);
	capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE,
		     CAP_NET_BIND_SERVICE);
	if (capng_change_id((int)who.uid, (int)who.gid,
			    CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0)
		return fault_set(why, "cannot become the user %u", (unsigned)who.uid);
	if (setuid(0) == 0)
		return fault_set(why, "could become root again");
	return 0;
}

void privilege_bequeath(void)
{
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0);
}

void privilege_none(void)
{
	capng_clear(CAPNG_SELECT_CAPS);
	(void)capng_apply(CAPNG_SELECT_CAPS); /* the ambient set goes with the inheritable one */
}
