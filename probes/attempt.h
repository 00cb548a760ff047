/* attempt.h — what kinds share to wait and to connect. Nothing here blocks past `deadline`.
 */
#ifndef PROBES_ATTEMPT_H
#define PROBES_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/time.h"
#include "probes/parse.h"

/* poll(2) on one descriptor. 0, -ETIMEDOUT or -errno. */
int await_fd(int fd, short events, instant deadline);

/* recv(2), waiting for bytes: their number, 0 at the end, or -errno. */
int recv_some(int fd, void *buf, size_t cap, instant deadline);

/* send(2), all of it and without SIGPIPE: 0 or -errno. */
int send_all(int fd, const void *bytes, size_t n, instant deadline);

/* --- addresses --- */

struct address {
    struct sockaddr_storage sa;
    socklen_t len;
};
enum { ADDRESS_TEXT = 80 };

/* "127.0.0.1:80", "[::1]:80"; in buf. */
const char *address_text(const struct address *a, char buf[ADDRESS_TEXT]);

/* Without a look-up: IPv4, IPv6, IPv6%zone. False if `host` is a name. */
bool address_literal(struct address *out, const char *host, uint16_t port);

/* All addresses of `to`, at most MAX_PROBE_ADDRS, in the order to be tried; the number
 * or -errno. Literals and "localhost" (both loopbacks, RFC 6761 6.3) take no look-up;
 * a name is looked up by getaddrinfo(3) in a fork that is killed at the deadline. */
int address_find(struct address out[MAX_PROBE_ADDRS], const struct endpoint *to, instant deadline,
                 struct err *e);

/* --- connecting --- */

/* Connect to whichever of `to` accepts first. With `patient`, those that refuse are
 * tried again every 5 ms until the deadline. Returns a non-blocking socket, which the
 * caller owns, or -errno. */
int dial_any(const struct address *to, size_t n, bool patient, instant deadline, struct err *e);

/* Connect to a unix socket now: a non-blocking descriptor, or -errno (-EAGAIN: the
 * backlog is full). */
int dial_unix(const char *path);

/* Connect to a port of a virtual machine's other side (vsock(7)): a non-blocking descriptor, or
 * -errno. */
int dial_vsock(unsigned cid, unsigned port, instant deadline);

/* --- a path that is to appear --- */

/* One inotify(7) instance on the directories above a path. */
struct path_watch {
    int fd;     /* -1: no inotify (its per-user limits are small), so look every 20 ms */
    span pause; /* before the next look at a thing that is there and does not answer */
};

struct path_watch path_watch_open(void);

/* Leaves a child of ours, which ends within milliseconds by itself; one that stays has
 * to reap it. */
void path_watch_close(struct path_watch *w);
#define AUTO_WATCH __attribute__((cleanup(path_watch_close)))

/* Call before each look at `path`: from here on nothing that appears goes unseen. */
void path_watch_arm(struct path_watch *w, const char *path);

/* Sleep until it is worth another look. `there`: it exists and did not answer, so also
 * look again soon. 0, or -ETIMEDOUT when `deadline` has passed. */
int path_watch_wait(struct path_watch *w, bool there, instant deadline);

/* Wait for the socket to appear and to accept us; a stale one (refusing, nobody listens)
 * is waited out. A non-blocking descriptor or -errno. */
int await_unix(struct path_watch *w, const char *path, instant deadline, struct err *e);

/* --- one HTTP exchange on a connected socket --- */

/* Send a GET for `target` and take the answer. 0 once `a` holds what it looks for or the
 * whole answer; -ECONNRESET if the peer ended the connection before its status line. */
int http_exchange(int fd, const char *host, const char *target, struct http_answer *a,
                  instant deadline, struct err *e);

#endif
