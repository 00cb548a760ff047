/* channelload — a client of the channel, and the same work without one.
 *
 *     channelload spawn  N PROGRAM            bare fork, exec, wait            p50, p99 ns
 *     channelload exec   N SOCKET PROGRAM     POST /v1/exec, answer as JSON    p50, p99 ns
 *                                             fails when one has not exited with 0
 *     channelload pipe   MIB                  cat(1) into a unix socket        MiB/s
 *     channelload stdout MIB SOCKET           a job's output, framed           MiB/s
 *     channelload get    SOCKET PATH          GET /v1/files to /dev/null       MiB/s
 *     channelload put    SOCKET PATH FROM     PUT /v1/files                    MiB/s
 *     channelload idle   N SOCKET             N connections, until stdin ends  "ready"
 *
 * One connection is kept for all requests of a run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

enum { MAX_SAMPLES = 1 << 20, BUFFER = 1 << 20 };

static int64_t samples[MAX_SAMPLES];
static char buffer[BUFFER];

static void die(const char *what) {
    fprintf(stderr, "channelload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(const char *path) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die(path);
    return fd;
}

static void send_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0)
            die("write");
        bytes += k;
        n -= (size_t)k;
    }
}

/* Read the head of an answer; returns its body's length (-1: chunked) and keeps what came after it
 * at the start of `buffer`: *have bytes. */
static int64_t read_head(int fd, size_t *have) {
    size_t n = 0;
    char *end = NULL;
    while (!end) {
        ssize_t k = read(fd, buffer + n, sizeof buffer - 1 - n);
        if (k <= 0)
            die("read the answer");
        n += (size_t)k;
        buffer[n] = '\0';
        end = memmem(buffer, n, "\r\n\r\n", 4);
    }
    *end = '\0';
    if (strncmp(buffer, "HTTP/1.1 2", 10) != 0) {
        fprintf(stderr, "channelload: %s\n%.*s\n", buffer, (int)(buffer + n - end - 4), end + 4);
        exit(1);
    }
    const char *length = strcasestr(buffer, "content-length: ");
    int64_t body = length ? strtoll(length + 16, NULL, 10) : -1;
    *have = (size_t)(buffer + n - end - 4);
    memmove(buffer, end + 4, *have);
    return body;
}

static void read_body(int fd, int64_t left, size_t have) {
    for (left -= (int64_t)have; left > 0;) {
        ssize_t k = read(fd, buffer, sizeof buffer);
        if (k <= 0)
            die("read the body");
        left -= k;
    }
}

/* The whole of a short body, as text. */
static const char *keep_body(int fd, int64_t length, size_t have) {
    if (length < 0 || length >= BUFFER) {
        fprintf(stderr, "channelload: a body of %lld bytes\n", (long long)length);
        exit(1);
    }
    for (ssize_t k; (int64_t)have < length; have += (size_t)k)
        if ((k = read(fd, buffer + have, (size_t)length - have)) <= 0)
            die("read the body");
    buffer[length] = '\0';
    return buffer;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int report(int n) {
    qsort(samples, (size_t)n, sizeof samples[0], by_value);
    printf("%lld %lld\n", (long long)samples[n / 2], (long long)samples[n - 1 - n / 100]);
    return 0;
}

static int rate(int64_t bytes, int64_t from) {
    printf("%lld\n", (long long)((double)bytes / 1048576 / ((double)(now_ns() - from) / 1e9)));
    return 0;
}

extern char **environ;

static int spawn(int n, const char *program) {
    for (int i = 0; i < n; i++) {
        int64_t from = now_ns();
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            execl(program, program, (char *)NULL);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
            die(program);
        samples[i] = now_ns() - from;
    }
    return report(n);
}

static int exec(int n, const char *path, const char *program) {
    char body[512], request[1024];
    int k = snprintf(body, sizeof body, "{\"argv\":[\"%s\"]}", program);
    k = snprintf(request, sizeof request,
                 "POST /v1/exec HTTP/1.1\r\nHost: box\r\nAccept: application/json\r\n"
                 "Content-Length: %d\r\n\r\n%s",
                 k, body);
    int fd = dial(path);
    for (int i = 0; i < n; i++) {
        size_t have;
        int64_t from = now_ns();
        send_all(fd, request, (size_t)k);
        int64_t length = read_head(fd, &have);
        const char *answer = keep_body(fd, length, have);
        samples[i] = now_ns() - from;
        if (!strstr(answer, "\"end\":{\"exit\":0")) {
            fprintf(stderr, "channelload: %s has not ended well: %s\n", program, answer);
            return 1;
        }
    }
    return report(n);
}

/* What the kernel alone can do: a program writes into a pipe, cat(1) from there into a socket. */
static int pipe_floor(int64_t mib) {
    int pair[2];
    char command[128];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        die("socketpair");
    (void)snprintf(command, sizeof command, "head -c %lldM /dev/zero | cat >&%d", (long long)mib,
                   pair[1]);
    int64_t from = now_ns(), total = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    (void)close(pair[1]);
    for (ssize_t k; (k = read(pair[0], buffer, sizeof buffer)) > 0;)
        total += k;
    (void)waitpid(pid, NULL, 0);
    return rate(total, from);
}

static int job_stdout(int64_t mib, const char *path) {
    char body[128], request[512];
    int k = snprintf(body, sizeof body, "{\"argv\":[\"head\",\"-c\",\"%lldM\",\"/dev/zero\"]}",
                     (long long)mib);
    k = snprintf(request, sizeof request,
                 "POST /v1/exec HTTP/1.1\r\nHost: box\r\nConnection: Upgrade\r\n"
                 "Upgrade: pinnace-stream\r\nContent-Length: %d\r\n\r\n%s",
                 k, body);
    int fd = dial(path);
    int64_t from = now_ns(), total = 0;
    send_all(fd, request, (size_t)k);
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
        total += n;
    return total < mib << 20 ? 1 : rate(mib << 20, from);
}

static int get(const char *path, const char *file) {
    char request[1024];
    int k = snprintf(request, sizeof request, "GET /v1/files?path=%s HTTP/1.1\r\nHost: box\r\n\r\n",
                     file);
    int fd = dial(path);
    size_t have;
    int64_t from = now_ns();
    send_all(fd, request, (size_t)k);
    int64_t size = read_head(fd, &have);
    read_body(fd, size, have);
    return rate(size, from);
}

static int put(const char *path, const char *file, const char *source) {
    char request[1024];
    struct stat st;
    int in = open(source, O_RDONLY | O_CLOEXEC);
    if (in < 0 || fstat(in, &st) < 0)
        die(source);
    int k = snprintf(request, sizeof request,
                     "PUT /v1/files?path=%s HTTP/1.1\r\nHost: box\r\nContent-Length: %lld\r\n\r\n",
                     file, (long long)st.st_size);
    int fd = dial(path);
    size_t have;
    int64_t from = now_ns();
    send_all(fd, request, (size_t)k);
    for (off_t at = 0; at < st.st_size;)
        if (sendfile(fd, in, &at, 1 << 20) <= 0)
            die("sendfile");
    (void)read_head(fd, &have);
    return rate(st.st_size, from);
}

static int idle(int n, const char *path) {
    for (int i = 0; i < n; i++)
        (void)dial(path);
    printf("ready\n");
    (void)fflush(stdout);
    return read(0, buffer, 1) < 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    int n = argc > 2 ? atoi(argv[2]) : 0;
    if (n > MAX_SAMPLES)
        n = MAX_SAMPLES;
    (void)signal(SIGPIPE, SIG_IGN);
    if (strcmp(what, "spawn") == 0 && argc == 4)
        return spawn(n, argv[3]);
    if (strcmp(what, "exec") == 0 && argc == 5)
        return exec(n, argv[3], argv[4]);
    if (strcmp(what, "pipe") == 0 && argc == 3)
        return pipe_floor(n);
    if (strcmp(what, "stdout") == 0 && argc == 4)
        return job_stdout(n, argv[3]);
    if (strcmp(what, "get") == 0 && argc == 4)
        return get(argv[2], argv[3]);
    if (strcmp(what, "put") == 0 && argc == 5)
        return put(argv[2], argv[3], argv[4]);
    if (strcmp(what, "idle") == 0 && argc == 4)
        return idle(n, argv[3]);
    fprintf(stderr, "channelload: see the comment at its top\n");
    return 2;
}
