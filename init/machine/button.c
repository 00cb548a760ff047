#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "machine/machine.h"

#define INPUT "/dev/input"
enum { MAX_BUTTONS = 8, MAX_EVENTS = 64 };

/* musl's ioctl(2) takes an int, glibc's an unsigned long; the kernel's numbers use the top bit. */
#ifdef __GLIBC__
typedef unsigned long ioctl_request;
#else
typedef int ioctl_request;
#endif

/* A keyboard may have one, too. */
static bool has_power_key(int fd) {
    unsigned char keys[KEY_MAX / 8 + 1] = { 0 };
    return ioctl(fd, (ioctl_request)EVIOCGBIT(EV_KEY, sizeof keys), keys) > 0 &&
           (keys[KEY_POWER / 8] >> KEY_POWER % 8 & 1);
}

/* The descriptor stays open as long as the process: nobody else has it to watch. */
static bool add_button(int set, const char *name) {
    char path[sizeof INPUT + 1 + 256];
    (void)snprintf(path, sizeof path, INPUT "/%s", name);
    AUTO_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct epoll_event want = { .events = EPOLLIN, .data.fd = fd };
    if (fd < 0 || !has_power_key(fd) || epoll_ctl(set, EPOLL_CTL_ADD, fd, &want) < 0)
        return false;
    (void)fd_take(&fd);
    return true;
}

int machine_button(void) {
    DIR *dir = opendir(INPUT);
    AUTO_FD int set = epoll_create1(EPOLL_CLOEXEC);
    int n = 0;
    for (const struct dirent *d; dir && set >= 0 && n < MAX_BUTTONS && (d = readdir(dir));)
        if (strncmp(d->d_name, "event", 5) == 0)
            n += add_button(set, d->d_name);
    if (dir)
        (void)closedir(dir);
    return n > 0 ? fd_take(&set) : -1;
}

static bool is_pressed(int fd) {
    struct input_event e[MAX_EVENTS];
    ssize_t n = read(fd, e, sizeof e);
    bool pressed = false;
    for (ssize_t i = 0; i < n / (ssize_t)sizeof e[0]; i++)
        pressed |= e[i].type == EV_KEY && e[i].code == KEY_POWER && e[i].value == 1;
    return pressed;
}

bool machine_pressed(int button) {
    struct epoll_event got[MAX_BUTTONS];
    int n = epoll_wait(button, got, MAX_BUTTONS, 0);
    bool pressed = false;
    for (int i = 0; i < n; i++) {
        if (got[i].events & (EPOLLERR | EPOLLHUP)) /* the device has gone */
            (void)epoll_ctl(button, EPOLL_CTL_DEL, got[i].data.fd, NULL);
        else
            pressed |= is_pressed(got[i].data.fd);
    }
    return pressed;
}
