#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "machine/cmdline.h"
#include "machine/machine.h"
#include "sys/file.h"
#include "sys/mountpoint.h"

/* PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h: part of its ABI. */
#define INITIAL_PID_NAMESPACE 0xEFFFFFFCU

/* In this order. What is mounted below /dev and /sys is there by then. */
static const struct point {
    const char *dir, *path, *type;
    unsigned long flags;
    const char *data;
} points[] = {
    { "/", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
    { "/", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
    { "/", "/dev", "devtmpfs", MS_NOSUID, "mode=0755" },
    { "/dev", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666" },
    { "/dev", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" },
    { "/", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755" },
    { "/", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" },
    { "/sys/fs", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate" },
};
enum { NPOINTS = sizeof points / sizeof points[0] };

/* There is no log yet, and perhaps no console. */
static void complain(const char *what, const char *path) {
    (void)dprintf(2, "pinnace: %s %s: %s\n", what, path, strerror(errno));
}

static bool mount_point(const struct point *p) {
    if (is_mounted(p->dir, p->path))
        return true;
    (void)mkdir(p->path, 0755);
    return mount(p->type, p->path, p->type, p->flags, p->data) == 0 || errno == EBUSY;
}

/* gVisor gives its containers the same number, but hardly ever the right to switch off. Whoever is
 * PID 1 of a container, and was given no /proc, keeps none. */
static bool is_first_of_kernel(void) {
    if (prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) != 1)
        return false;
    static const char path[] = "/proc/self/ns/pid";
    struct stat ns;
    bool there = stat(path, &ns) == 0;
    bool mine = !there && mount_point(&points[0]) && stat(path, &ns) == 0;
    bool first = (there || mine) && ns.st_ino == INITIAL_PID_NAMESPACE;
    if (mine && !first)
        (void)umount2("/proc", MNT_DETACH);
    return first;
}

/* The last one that console= names, by its own name: /dev/console itself cannot be a controlling
 * terminal, which Ctrl-C and job control need. */
static int open_console(void) {
    char names[128], path[sizeof "/dev/" + sizeof names];
    file_peek("/sys/class/tty/console/active", names, sizeof names);
    names[strcspn(names, "\n")] = '\0';
    const char *last = strrchr(names, ' ');
    (void)snprintf(path, sizeof path, "/dev/%s", last ? last + 1 : names);
    int fd = *names ? open(path, O_RDWR | O_NOCTTY) : -1;
    return fd >= 0 ? fd : open("/dev/console", O_RDWR | O_NOCTTY);
}

/* Whoever was given anything but the kernel's console, keeps it. */
static void take_console(void) {
    struct stat in;
    bool given = fstat(0, &in) == 0;
    if (given && !(S_ISCHR(in.st_mode) && in.st_rdev == makedev(5, 1)))
        return;
    int fd = open_console();
    if (fd < 0)
        return;
    (void)setsid();
    (void)ioctl(fd, TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        (void)dup2(fd, i);
    if (fd > 2)
        (void)close(fd);
}

bool machine_begin(void) {
    if (!is_first_of_kernel())
        return false;
    int failed[NPOINTS] = { 0 };
    for (size_t i = 0; i < NPOINTS; i++)
        failed[i] = mount_point(&points[i]) ? 0 : errno;
    take_console();
    for (size_t i = 0; i < NPOINTS; i++)
        if ((errno = failed[i]) != 0)
            complain("mount", points[i].path);
    (void)reboot(RB_DISABLE_CAD);
    return true;
}

int machine_cmd(int argc) {
    char line[MAX_CMDLINE];
    file_peek("/proc/cmdline", line, sizeof line);
    int n = cmdline_init_words(line);
    return n < argc ? argc - n : argc;
}
