/* dnsload — a resolver that knows one answer, and a client that asks as fast as it may.
 *
 *     dnsload respond ADDRESS PORT
 *     dnsload ask ADDRESS PORT QUERIES WINDOW      prints: per second, lost, p50 ns, p99 ns
 *
 * WINDOW queries are kept in flight, each of a name of its own. Ends by
 * itself: the client when it is done, or ten times a second long nothing has come.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "clock.h"

enum { BATCH = 64, BYTES = 512, NAME_AT = 13, NAME_DIGITS = 8, MAX_SAMPLES = 1 << 20 };

static const char question[] = "\0\0\1\0\0\1\0\0\0\0\0\0\x08"
                               "00000000\5bench\7example\0\0\1\0\1";
static const char record[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1";
enum { QUESTION = sizeof question - 1, RECORD = sizeof record - 1 };

static struct mmsghdr heads[BATCH];
static struct iovec parts[BATCH];
static struct sockaddr_in from[BATCH];
static char bytes[BATCH][BYTES];

static void prepare(size_t len, int with_name) {
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){ bytes[i], len };
        heads[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
        if (with_name) {
            heads[i].msg_hdr.msg_name = &from[i];
            heads[i].msg_hdr.msg_namelen = sizeof from[i];
        }
    }
}

static int udp(const char *address, const char *port, int serve) {
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 4 << 20;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (inet_pton(AF_INET, address, &sa.sin_addr) != 1)
        exit(2);
    int rc = serve ? bind(fd, (struct sockaddr *)&sa, sizeof sa)
                   : connect(fd, (struct sockaddr *)&sa, sizeof sa);
    if (rc < 0) {
        perror("dnsload");
        exit(1);
    }
    return fd;
}

static int respond(const char *address, const char *port) {
    int fd = udp(address, port, 1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        prepare(BYTES, 1);
        int n = recvmmsg(fd, heads, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++) {
            size_t len = QUESTION; /* an OPT that the forwarder may have added is cut off */
            bytes[i][2] = (char)0x81, bytes[i][3] = (char)0x80;
            bytes[i][7] = 1, bytes[i][11] = 0;
            memcpy(bytes[i] + len, record, RECORD);
            parts[i].iov_len = len + RECORD;
        }
        for (int sent = 0; n > 0 && sent < n;) {
            int k = sendmmsg(fd, heads + sent, (unsigned)(n - sent), 0);
            sent += k > 0 ? k : 1;
        }
    }
}

static struct {
    int64_t sent_at[65536]; /* by id; 0: not in flight */
    int64_t samples[MAX_SAMPLES];
    size_t nsamples, sent, done, lost, in_flight;
} run;

static void send_some(int fd, size_t queries, size_t window) {
    size_t n = 0;
    int64_t now = now_ns();
    prepare(QUESTION, 0);
    while (n < BATCH && run.sent < queries && run.in_flight < window) {
        uint16_t id = (uint16_t)run.sent;
        char name[NAME_DIGITS + 1];
        (void)snprintf(name, sizeof name, "%08zu", run.sent % 100000000);
        memcpy(bytes[n], question, QUESTION);
        memcpy(bytes[n] + NAME_AT, name, NAME_DIGITS);
        memcpy(bytes[n], &id, sizeof id);
        run.sent_at[id] = now;
        run.sent++;
        run.in_flight++;
        n++;
    }
    for (size_t sent = 0; sent < n;) {
        int k = sendmmsg(fd, heads + sent, (unsigned)(n - sent), 0);
        sent += k > 0 ? (size_t)k : 1;
    }
}

static void receive_some(int fd) {
    prepare(BYTES, 0);
    int n = recvmmsg(fd, heads, BATCH, MSG_DONTWAIT, NULL);
    int64_t now = now_ns();
    for (int i = 0; i < n; i++) {
        uint16_t id;
        memcpy(&id, bytes[i], sizeof id);
        if (heads[i].msg_len < QUESTION + RECORD || (bytes[i][3] & 15) || !run.sent_at[id])
            continue;
        if (run.nsamples < MAX_SAMPLES)
            run.samples[run.nsamples++] = now - run.sent_at[id];
        run.sent_at[id] = 0;
        run.in_flight--;
        run.done++;
    }
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int ask(char **where, size_t queries, size_t window) {
    int fd = udp(where[0], where[1], 0);
    int64_t begun = now_ns();
    for (int silent = 0; run.done + run.lost < queries && silent < 10;) {
        struct pollfd p = { fd, POLLIN, 0 };
        send_some(fd, queries, window);
        if (poll(&p, 1, 1000) > 0) {
            receive_some(fd);
            continue;
        }
        silent++;
        run.lost += run.in_flight;
        run.in_flight = 0;
        memset(run.sent_at, 0, sizeof run.sent_at);
    }
    double seconds = (double)(now_ns() - begun) / 1e9;
    qsort(run.samples, run.nsamples, sizeof run.samples[0], by_value);
    size_t n = run.nsamples;
    (void)printf("%.0f %zu %lld %lld\n", (double)run.done / seconds, run.lost,
                 n ? (long long)run.samples[n / 2] : 0,
                 n ? (long long)run.samples[n * 99 / 100] : 0);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "respond") == 0)
        return respond(argv[2], argv[3]);
    if (argc == 6 && strcmp(argv[1], "ask") == 0)
        return ask(argv + 2, strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
    return 2;
}
