/*
 * As much of a service manager as the tests need. It runs one program at a time and keeps what
 * that one stores (sd_notify(3), FDSTORE) for the next.
 *
 *   keeper SOCKET PROGRAM ARGUMENTS...
 *
 * Every line on standard input starts the program anew when the last one has ended. On standard
 * output: "started PID", "ended", "kept N" after each change, and whatever else was notified.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_MAX 16

static struct {
	int fd;
	char name[64];
} kept[KEPT_MAX];
static int count;

static void forget(const char *name)
{
	int left = 0;

	for (int i = 0; i < count; i++) {
		if (strcmp(kept[i].name, name) == 0)
			close(kept[i].fd);
		else
			kept[left++] = kept[i];
	}
	count = left;
}

static void receive(int notified)
{
	char text[1024] = { 0 }, control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	char *name;

	if (recvmsg(notified, &message, MSG_CMSG_CLOEXEC) < 0)
		return;
	name = strstr(text, "FDNAME=");
	if (!name) {
		printf("%s\n", text);
		return;
	}
	name += strlen("FDNAME=");
	name[strcspn(name, "\n")] = 0;
	if (strncmp(text, "FDSTOREREMOVE=1", 15) == 0)
		forget(name);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < fds && count < KEPT_MAX; i++) {
			memcpy(&kept[count].fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			snprintf(kept[count++].name, sizeof(kept[0].name), "%s", name);
		}
	}
	printf("kept %d\n", count);
}

static void run(char **arguments)
{
	char value[1024] = { 0 };
	int high[KEPT_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* First out of the way of the numbers that they are passed under */
	for (int i = 0; i < count; i++)
		high[i] = dup(kept[i].fd);
	for (int i = 0; i < count; i++) {
		dup2(high[i], 3 + i);
		snprintf(value + strlen(value), sizeof(value) - strlen(value), "%s%s",
			 i > 0 ? ":" : "", kept[i].name);
	}
	for (int i = 3 + count; i < 64; i++)
		close(i);
	setenv("LISTEN_FDNAMES", value, 1);
	snprintf(value, sizeof(value), "%d", count);
	setenv("LISTEN_FDS", value, 1);
	snprintf(value, sizeof(value), "%d", getpid());
	setenv("LISTEN_PID", value, 1);
	execvp(arguments[0], arguments);
	_exit(127);
}

static void ended(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sigaction action = { .sa_handler = ended };
	pid_t child = -1;

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[1]);
	if (bind(notified, (struct sockaddr *)&address, sizeof(address)) < 0)
		return 1;
	setenv("NOTIFY_SOCKET", argv[1], 1);
	sigaction(SIGCHLD, &action, NULL);
	for (;;) {
		struct pollfd wait[2] = { { .fd = notified, .events = POLLIN },
					  { .fd = child < 0 ? 0 : -1, .events = POLLIN } };
		char line[64];

		/* A signal may come before the wait: then the next look is not far */
		(void)poll(wait, 2, 20);
		if (wait[0].revents & POLLIN)
			receive(notified);
		if (child > 0 && waitpid(child, NULL, WNOHANG) == child) {
			child = -1;
			printf("ended\n");
		} else if (child < 0 && (wait[1].revents & (POLLIN | POLLHUP))) {
			if (!fgets(line, sizeof(line), stdin))
				return 0;
			child = fork();
			if (child == 0)
				run(argv + 2);
			printf("started %d\n", child);
		}
	}
}
