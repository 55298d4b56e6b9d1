/*
 * `heddle` as it is installed. Theory of operation: the engine reads some of its options from the
 * environment only, before any code of ours runs, so they are set here (docs/adr/0017); then this
 * process becomes the program, which is the file beside it. The pid, its parent and its open files
 * stay what they were.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "heddle-program"

/** For `heddle agent`; bin/heddle has the same ones, with the reasons. */
static const char *const options[][2] = {
	{ "BUN_JSC_useFTLJIT", "0" },
	{ "BUN_JSC_smallHeapSize", "8388608" },
	{ "BUN_JSC_percentCPUPerMBForEdenTimer", "0.0001" },
	{ "BUN_GC_TIMER_DISABLE", "1" },
};

static void say(const char *text)
{
	/* Where nobody can be told, the exit code has to do. */
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

static int fail(const char *path, int error)
{
	say("heddle: ");
	say(path);
	say(": ");
	say(strerror(error));
	say("; install it beside heddle\n");
	return 1;
}

/** What the operator set himself stays. */
static int set_options(void)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (setenv(options[i][0], options[i][1], 0) < 0)
			return -errno;
	return 0;
}

/** Writes the path of the program; the kernel has followed all links to this file already. */
static int beside(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - sizeof(PROGRAM));
	if (length < 0)
		return -errno;
	path[length] = '\0';
	char *name = strrchr(path, '/');
	if (name == NULL || (size_t)length == size - sizeof(PROGRAM))
		return -ENAMETOOLONG;
	memcpy(name + 1, PROGRAM, sizeof(PROGRAM));
	return 0;
}

int main(int argc, char **argv)
{
	char path[4096 + sizeof(PROGRAM)];
	int failed = argc > 1 && strcmp(argv[1], "agent") == 0 ? set_options() : 0;
	if (failed == 0)
		failed = beside(path, sizeof(path));
	if (failed < 0)
		return fail(PROGRAM, -failed);
	execv(path, argv);
	return fail(path, errno);
}
