/* signals.h — all 64 signals, past libc.
 *
 * musl keeps 32..34 for itself and its sigset functions leave them out, so an init
 * built on them drops or dies of signal 34 (glibc's SIGRTMIN). Sets here are plain
 * 64-bit words for rt_sigprocmask(2) and signalfd4(2): bit n-1 is signal n.
 */
#ifndef SYS_SIGNALS_H
#define SYS_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#define SIGNAL_BIT(n) (UINT64_C(1) << ((n)-1))
#define SIGNALS_ALL   UINT64_MAX
#define SIGNALS_NONE  UINT64_C(0)
enum { SIGNAL_MAX = 64 };

/* Replace the blocked set; returns the old one. */
uint64_t signals_block(uint64_t set);

/* Take SIGCHLD from whoever has left it ignored: the kernel would reap in our place, and keep the
 * status for itself (wait(2), NOTES). `flags`: SA_NOCLDSTOP or 0. Whether it was ignored, which is
 * to be given back to what we start; no other disposition is changed by pinnace. */
bool signals_claim_children(int flags);

/* A non-blocking, close-on-exec signalfd for `set`, or -errno. */
int signals_open(uint64_t set);

/* Read one. 1 and *out, 0 when none is pending, or -errno. */
int signals_read(int fd, struct signalfd_siginfo *out);

/* Pass a signal on to `pid`, with its value when it was sent by sigqueue(3).
 * A negative pid is a group (which cannot carry a value). 0 or -errno. */
int signals_forward(pid_t pid, const struct signalfd_siginfo *si, int as_signal);

#endif
