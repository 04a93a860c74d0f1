/*
 * file_io_test.c: which files are opened, reading in pieces, files that change meanwhile, mapping of own packs.
 */
#include "base/file_io.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64];

static const char *
in_folder(const char *name)
{
	static char path[4][256];
	static int	next;
	char	   *p = path[next++ % 4];

	snprintf(p, 256, "%s/%s", folder, name);
	return p;
}

static void
write_file(const char *path, size_t len, mode_t mode)
{
	int			fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
	char		block[4096];

	for (size_t done = 0; fd >= 0 && done < len; done += sizeof(block))
	{
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (char) ((done + i) * 2654435761u >> 24);
		CHECK(write(fd, block, len - done < sizeof(block) ? len - done : sizeof(block)) > 0);
	}
	CHECK(fd >= 0);
	fchmod(fd, mode);
	close(fd);
}

static void
check_refused(const char *path, LlmStatus expected, const char *part)
{
	LlmFile		file = {.fd = -7};
	LlmError	err;
	LlmStatus	status = llm_file_open(path, &file, &err);

	CHECK_MSG(status == expected, "%s: status %d", path, status);
	CHECK_MSG(strstr(err.message, part) || strstr(err.detail, part), "%s: %s %s", path, err.message, err.detail);
	CHECK(file.fd == -7);		/* outputs are unchanged */
}

static void
test_open(void)
{
	char		longpath[2000];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int			sock = socket(AF_UNIX, SOCK_STREAM, 0);

	check_refused(in_folder("absent"), LLM_E_IO, "No such file or directory");
	check_refused("", LLM_E_ARGUMENT, "empty");
	memset(longpath, 'x', sizeof(longpath) - 1);
	longpath[sizeof(longpath) - 1] = '\0';
	check_refused(longpath, LLM_E_ARGUMENT, "too long");
	check_refused(folder, LLM_E_ARGUMENT, "a directory");
	CHECK(mkfifo(in_folder("fifo"), 0600) == 0);
	check_refused(in_folder("fifo"), LLM_E_ARGUMENT, "a named pipe");	/* and does not hang */
	check_refused("/dev/null", LLM_E_ARGUMENT, "a device");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_folder("socket"));
	CHECK(sock >= 0 && bind(sock, (struct sockaddr *) &address, sizeof(address)) == 0);
	check_refused(in_folder("socket"), LLM_E_ARGUMENT, "a socket");
	close(sock);
	write_file(in_folder("file"), 10, 0600);
	snprintf(longpath, sizeof(longpath), "%s/x", in_folder("file"));
	check_refused(longpath, LLM_E_IO, "Not a directory");
	if (geteuid() != 0)
	{
		write_file(in_folder("secret"), 10, 0);
		check_refused(in_folder("secret"), LLM_E_IO, "Permission denied");
		unlink(in_folder("secret"));
	}
	unlink(in_folder("fifo"));
	unlink(in_folder("socket"));
	unlink(in_folder("file"));
}

static bool
count_stop(void *opaque)
{
	return --*(int *) opaque < 0;
}

static void
test_read(void)
{
	const size_t size = ((size_t) 3 << 20) + 5;
	const char *path = in_folder("data");
	char	   *buf = malloc(size + 1);
	LlmFile		file;
	LlmError	err;
	int			budget = 0;
	LlmStop		stop = {count_stop, &budget};

	write_file(path, size, 0600);
	CHECK(llm_file_open(path, &file, &err) == LLM_OK);
	CHECK(file.size_bytes == size && file.inode != 0 && file.mtime_ns > 0 && strcmp(file.path, path) == 0);
	CHECK(fcntl(file.fd, F_GETFD) & FD_CLOEXEC);
	buf[size] = 'e';
	CHECK(llm_file_read(&file, 0, buf, size, NULL, &err) == LLM_OK);
	for (size_t i = 0; i < size; i++)
		CHECK(buf[i] == (char) (i * 2654435761u >> 24));
	CHECK(buf[size] == 'e');
	CHECK(llm_file_read(&file, size - 3, buf, 3, NULL, &err) == LLM_OK);
	CHECK(llm_file_read(&file, size, buf, 0, NULL, &err) == LLM_OK);

	/* past the end, and offsets that no file has */
	CHECK(llm_file_read(&file, size - 3, buf, 4, NULL, &err) == LLM_E_FORMAT);
	CHECK(llm_file_read(&file, UINT64_MAX, buf, 4, NULL, &err) == LLM_E_FORMAT);
	CHECK(llm_file_read(&file, INT64_MAX, buf, 4, NULL, &err) == LLM_E_FORMAT);

	/* asked between pieces of 1 MB; the first piece is always read */
	CHECK(llm_file_read(&file, 0, buf, size, &stop, &err) == LLM_PAUSED);
	budget = 2;
	CHECK(llm_file_read(&file, 0, buf, size, &stop, &err) == LLM_PAUSED);
	budget = 3;
	CHECK(llm_file_read(&file, 0, buf, size, &stop, &err) == LLM_OK);
	budget = 0;
	CHECK(llm_file_read(&file, 0, buf, (size_t) 1 << 20, &stop, &err) == LLM_OK);

	/* cut while open */
	CHECK(llm_file_check_unchanged(&file, &err) == LLM_OK);
	CHECK(truncate(path, 1000) == 0);
	CHECK(llm_file_read(&file, 0, buf, 1000, NULL, &err) == LLM_OK);
	CHECK(llm_file_read(&file, 0, buf, 1001, NULL, &err) == LLM_E_FORMAT && err.detail[0] && err.hint[0]);
	CHECK(llm_file_check_unchanged(&file, &err) == LLM_E_FORMAT);
	llm_file_close(&file);
	CHECK(file.fd == -1);
	llm_file_close(&file);
	CHECK(llm_file_read(&file, 0, buf, 1, NULL, &err) == LLM_E_IO && err.sys_errno == EBADF);
	free(buf);
	unlink(path);
}

static void
test_map(void)
{
	const uint8_t *base = NULL;
	size_t		size = 0;
	LlmError	err;
	const char *path = in_folder("pack");

	CHECK(llm_map_open(in_folder("absent"), &base, &size, &err) == LLM_E_IO);
	CHECK(llm_map_open(folder, &base, &size, &err) == LLM_E_ARGUMENT);
	write_file(path, 0, 0600);
	CHECK(llm_map_open(path, &base, &size, &err) == LLM_E_FORMAT);
	write_file(path, 100000, 0620);
	CHECK(llm_map_open(path, &base, &size, &err) == LLM_E_ARGUMENT);
	CHECK(strstr(err.detail, "0620") != NULL);
	write_file(path, 100000, 0602);
	CHECK(llm_map_open(path, &base, &size, &err) == LLM_E_ARGUMENT);
	CHECK(base == NULL && size == 0);
	write_file(path, 100000, 0600);
	CHECK(llm_map_open(path, &base, &size, &err) == LLM_OK && size == 100000 && (uintptr_t) base % 64 == 0);
	for (size_t i = 0; i < size; i++)
		CHECK(base[i] == (uint8_t) (i * 2654435761u >> 24));
	unlink(path);				/* a mapping outlives the name */
	CHECK(base[99999] == (uint8_t) (99999 * 2654435761u >> 24));
	llm_map_close(base, size);
	llm_map_close(NULL, 0);

	write_file(in_folder("target"), 100, 0600);
	CHECK(symlink(in_folder("target"), path) == 0);
	CHECK(llm_map_open(path, &base, &size, &err) == LLM_E_IO);
	unlink(path);
	unlink(in_folder("target"));
}

/* the descriptor is closed soon, by whomever */
static void
test_discard(void)
{
	const char *path = in_folder("discarded");
	int			fd;

	write_file(path, 100000, 0600);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0 && unlink(path) == 0);
	llm_file_discard(fd);
	while (fcntl(fd, F_GETFD) >= 0)
		usleep(1000);
	CHECK(errno == EBADF);
}

int
main(void)
{
	snprintf(folder, sizeof(folder), "/tmp/llm-file-io-XXXXXX");
	if (!mkdtemp(folder))
	{
		perror("mkdtemp");
		return 1;
	}
	test_open();
	test_read();
	test_map();
	test_discard();
	CHECK(rmdir(folder) == 0);
	CHECK_DONE();
}
