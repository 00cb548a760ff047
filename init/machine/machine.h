/* machine.h — PID 1 of a machine of its own (Firecracker, Cloud Hypervisor, QEMU): what the runtime
 * of a container would have done before, and the power switch at the end.
 *
 *     bool machine = machine_begin();          first of all: mounts, console
 *     argv += machine_cmd(argc)                where CMD is
 *     machine_equip(&conf);                    once the configuration is read: modules, network
 *     machine_end(&conf, status);              instead of exit(): PID 1's end is a kernel panic
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>

enum machine_off { OFF_AUTO, OFF_POWER, OFF_REBOOT, OFF_HALT };

struct machine_conf {
    const char *modules; /* directory; NULL: load none */
    bool network;        /* as the kernel's command line says (ip=) */
    enum machine_off off;
    unsigned exit_port; /* where the status is written to, as isa-debug-exit takes it; 0: nowhere */
};

/* Is this process the first one of a kernel (its PID namespace is the initial one)? Then, where it
 * is not so already: /proc, /sys, /dev, /dev/pts, /dev/shm, /run, /tmp and /sys/fs/cgroup are
 * mounted, stdin, stdout and stderr are the console, and Ctrl-Alt-Del is SIGINT. Anywhere else
 * nothing is changed. What cannot be done is printed, and does without. */
bool machine_begin(void);

/* Where CMD begins in the argv of the first process of a kernel: behind the "--" of the kernel's
 * command line, and not at words that the kernel merely did not know. argc: there is none. */
int machine_cmd(int argc);

/* Make / writable unless the command line says `ro`, load the modules, bring up lo and what ip=
 * names. In a fork, which is waited for 15 s at most: nothing else is there yet. What fails is
 * logged. */
void machine_equip(const struct machine_conf *c);

/* The machine's power buttons (ACPI, as VMMs press it to ask for an end): a descriptor that is
 * readable when somebody presses one, the caller's; -1: there are none, or no driver (button,
 * evdev). evdev of the kernel's Documentation/input. */
int machine_button(void);
/* Has one been pressed? Takes what there is to read. */
bool machine_pressed(int button);

/* Say `status` on the console, to NOTIFY_SOCKET (EXIT_STATUS=, sd_notify(3)) and to the exit port;
 * write everything to disk; power off, or what `off` says. Returns only where the kernel refuses.
 */
void machine_end(const struct machine_conf *c, int status);

#endif
