#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#ifdef __x86_64__
#include <sys/io.h>
#endif
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"
#include "machine/cmdline.h"
#include "machine/machine.h"
#include "svc/notify.h"
#include "sys/file.h"

#define UNIT "machine"
enum { NOTIFY_MS = 2000, CONSOLE_MS = 1000 };

static void tell(int status) {
    const char *address = getenv("NOTIFY_SOCKET");
    char text[32];
    (void)snprintf(text, sizeof text, "EXIT_STATUS=%d", status);
    int rc =
        address ? notify_send(address, text, instant_add(instant_now(), span_ms(NOTIFY_MS))) : 0;
    if (rc < 0)
        log_warn(UNIT, "tell NOTIFY_SOCKET %s: %s", address, strerror(-rc));
}

/* Firecracker ends by a reset of the keyboard controller, which reboot=k asks for; it knows no
 * power switch. */
static int how_off(enum machine_off off) {
    static const unsigned how[] = {
        [OFF_POWER] = RB_POWER_OFF, [OFF_REBOOT] = RB_AUTOBOOT, [OFF_HALT] = RB_HALT_SYSTEM
    };
    char line[MAX_CMDLINE];
    if (off == OFF_AUTO) {
        file_peek("/proc/cmdline", line, sizeof line);
        off = cmdline_has(line, "reboot=k") ? OFF_REBOOT : OFF_POWER;
    }
    return (int)how[off];
}

/* A serial line is slower than the end of the machine: the last words would be lost. Not for ever,
 * for somebody may have stopped the terminal. */
static void drain_console(void) {
    int left = 0;
    for (int ms = 0; ms < CONSOLE_MS && ioctl(2, TIOCOUTQ, &left) == 0 && left > 0; ms++)
        (void)poll(NULL, 0, 1);
    if (left == 0)
        (void)tcdrain(2); /* what is in the device itself */
}

/* QEMU's isa-debug-exit ends there and then, with 2 * status + 1. */
static void write_port(unsigned port, int status) {
#ifdef __x86_64__
    if (ioperm(port, 1, 1) < 0)
        log_error(UNIT, "write the exit status to port %#x: %s", port, strerror(errno));
    else
        outb((unsigned char)status, (unsigned short)port);
#else
    log_error(UNIT, "no exit status goes to port %#x: this machine has no I/O ports (status %d)",
              port, status);
#endif
}

void machine_end(const struct machine_conf *c, int status) {
    int how = how_off(c->off);
    log_info(UNIT, "the box has ended with exit status %d", status);
    tell(status);
    sync();
    (void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL); /* so that its journal is clean */
    drain_console();
    if (c->exit_port)
        write_port(c->exit_port, status);
    if (reboot(how) < 0)
        log_error(UNIT, "power off: %s", strerror(errno));
}
