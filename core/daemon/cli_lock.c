#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli_feed.h"

/* name_of - what a process calls itself */
static void name_of(int pid, char *out, size_t size)
{
	char path[32];
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/%d/comm", pid);
	file = fopen(path, "re");
	*out = '\0';
	if (file && fgets(out, (int)size, file))
		out[strcspn(out, "\n")] = '\0';
	if (file)
		(void)fclose(file);
}

/* "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF": whose lock, on which file */
bool cli_lock_holder(const char *directory, char *out, size_t size)
{
	FILE *locks = fopen("/proc/locks", "re");
	char path[4096 + 8], line[256], name[32];
	unsigned major_number, minor_number;
	unsigned long long inode;
	bool found = false;
	struct stat st;
	int pid;

	(void)snprintf(path, sizeof path, "%s/LOCK", directory);
	if (!locks || stat(path, &st) < 0)
		goto out;
	while (!found && fgets(line, sizeof line, locks))
		found = sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &major_number,
			       &minor_number, &inode) == 4 &&
			inode == st.st_ino && major_number == major(st.st_dev) &&
			minor_number == minor(st.st_dev);
	if (!found)
		goto out;
	name_of(pid, name, sizeof name);
	(void)snprintf(out, size, "process %d (%s)", pid, name);
out:
	if (locks)
		(void)fclose(locks);
	return found;
}
