/*
 * cpu_count.c: how many CPUs this process may use: the smaller of its affinity mask and the CPU quotas of its control
 * groups (containers and systemd units set those, and more threads than quota only make all of them wait).
 *
 * Groups are looked for where every distribution mounts them, below /sys/fs/cgroup. A process in a container may see a
 * group path that does not exist in its own mount; then only the visible ancestors count, down to the mount itself.
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst (cfs_quota_us).
 */
#include "base/threads.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* a whole small file as a string; false if it cannot be read */
static bool
read_small_file(const char *path, char *buf, size_t size)
{
	int			fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t		len = 0;

	if (fd < 0)
		return false;
	while (len < size - 1)
	{
		ssize_t		got = read(fd, buf + len, size - 1 - len);

		if (got <= 0)
			break;
		len += (size_t) got;
	}
	close(fd);
	buf[len] = '\0';
	return len > 0;
}

static int
affinity_count(void)
{
	for (int n_cpus = 1024; n_cpus <= 65536; n_cpus *= 4)
	{
		cpu_set_t  *set = CPU_ALLOC((size_t) n_cpus);
		size_t		size = CPU_ALLOC_SIZE((size_t) n_cpus);
		int			count = 0;

		if (!set)
			break;
		if (sched_getaffinity(0, size, set) == 0)
			count = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (count > 0)
			return count;
	}
	return 1;
}

/* quota / period, rounded up; INT_MAX if there is no limit */
static int
quota_count(long long quota, long long period)
{
	long long	count;

	if (quota <= 0 || period <= 0)
		return INT_MAX;
	count = (quota - 1) / period + 1;
	return count < INT_MAX ? (int) count : INT_MAX;
}

/* the quota of one group folder, version 2 or 1 */
static int
group_count(const char *folder, bool version2)
{
	char		path[PATH_MAX + 32];
	char		text[256];
	long long	quota;
	long long	period;

	if (version2)
	{
		snprintf(path, sizeof(path), "%s/cpu.max", folder);
		if (!read_small_file(path, text, sizeof(text)) || sscanf(text, "%lld %lld", &quota, &period) != 2)
			return INT_MAX;		/* also "max 100000" */
		return quota_count(quota, period);
	}
	snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
	if (!read_small_file(path, text, sizeof(text)) || sscanf(text, "%lld", &quota) != 1)
		return INT_MAX;
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
	if (!read_small_file(path, text, sizeof(text)) || sscanf(text, "%lld", &period) != 1)
		return INT_MAX;
	return quota_count(quota, period);
}

/* the smallest quota of a group and its ancestors; group starts with '/' */
static int
hierarchy_count(const char *mount, const char *group, bool version2)
{
	char		folder[PATH_MAX];
	size_t		mount_len = strlen(mount);
	size_t		len;
	int			count = INT_MAX;

	len = (size_t) snprintf(folder, sizeof(folder), "%s%s", mount, group);
	if (len >= sizeof(folder))
		return INT_MAX;
	for (;;)
	{
		int			here = group_count(folder, version2);

		if (here < count)
			count = here;
		while (len > mount_len && folder[len - 1] != '/')
			len--;
		if (len <= mount_len)
			return count;
		folder[--len] = '\0';
	}
}

/* is "cpu" one of the controllers of a comma-separated list? */
static bool
has_cpu_controller(const char *list, size_t len)
{
	const char *end = list + len;

	while (list < end)
	{
		const char *comma = memchr(list, ',', (size_t) (end - list));
		size_t		item = (size_t) ((comma ? comma : end) - list);

		if (item == 3 && memcmp(list, "cpu", 3) == 0)
			return true;
		list += item + 1;
	}
	return false;
}

/* lines of /proc/self/cgroup are "id:controllers:/path"; version 2 has id 0 and no controllers */
static int
cgroup_count(void)
{
	char		text[16384];
	char	   *save = NULL;
	int			count = INT_MAX;

	if (!read_small_file("/proc/self/cgroup", text, sizeof(text)))
		return INT_MAX;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
	{
		char	   *controllers = strchr(line, ':');
		char	   *group = controllers ? strchr(controllers + 1, ':') : NULL;
		int			here;

		if (!group || group[1] != '/')
			continue;
		controllers++;
		if (controllers == group)
			here = hierarchy_count("/sys/fs/cgroup", group + 1, true);
		else if (has_cpu_controller(controllers, (size_t) (group - controllers)))
			here = hierarchy_count("/sys/fs/cgroup/cpu", group + 1, false);
		else
			continue;
		if (here < count)
			count = here;
	}
	return count;
}

int
llm_cpu_count(void)
{
	int			by_affinity = affinity_count();
	int			by_quota = cgroup_count();

	return by_quota < by_affinity ? by_quota : by_affinity;
}
