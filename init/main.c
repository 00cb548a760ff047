/* main.c — which life is this: a plain init under another name, PID 1, or a client verb. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "cli/cli.h"
#include "compat/compat.h"
#include "machine/machine.h"
#include "sys/title.h"

/* No descriptor of ours may become 0, 1 or 2 because we were started without them. */
static void fill_stdio(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", O_RDWR);
}

int main(int argc, char **argv) {
    instant started = instant_now();
    enum compat_kind kind;
    if (argc > 0 && compat_name(argv[0], &kind))
        return compat_main(kind, argc, argv);
    bool machine = getpid() == 1 && machine_begin();
    fill_stdio();
    title_init(argc, argv);
    if (getpid() == 1)
        return cli_pid1(argc, argv, machine, started);
    return cli_main(argc, argv, started);
}
