#include "machine/modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"

#define UNIT "machine"
#ifndef MODULE_INIT_COMPRESSED_FILE
#define MODULE_INIT_COMPRESSED_FILE 4 /* linux/module.h, since 5.17: the kernel unpacks it */
#endif

static bool is_packed(const char *name) {
    return has_suffix(name, ".ko.gz") || has_suffix(name, ".ko.xz") || has_suffix(name, ".ko.zst");
}

static int is_module(const struct dirent *d) {
    return has_suffix(d->d_name, ".ko") || is_packed(d->d_name);
}

static bool load(const char *dir, const char *name) {
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return false;
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    long rc = fd < 0 ? -1
                     : syscall(SYS_finit_module, fd, "",
                               is_packed(name) ? MODULE_INIT_COMPRESSED_FILE : 0);
    if (rc == 0 || errno == EEXIST)
        return true;
    log_warn(UNIT, "load the module %s: %s", path,
             errno == ENOENT && fd >= 0 ? "it needs one that is not loaded (name it so that it "
                                          "comes first), or is for another kernel"
                                        : strerror(errno));
    return false;
}

void modules_load(const char *dir) {
    struct dirent **all;
    int n = scandir(dir, &all, is_module, alphasort), loaded = 0;
    if (n < 0) {
        if (errno != ENOENT)
            log_warn(UNIT, "no modules are loaded: read %s: %s", dir, strerror(errno));
        return;
    }
    if (n > MAX_MODULES)
        log_warn(UNIT, "%s: of %d modules the first %d are loaded", dir, n, MAX_MODULES);
    for (int i = 0; i < n; i++) {
        loaded += i < MAX_MODULES && load(dir, all[i]->d_name);
        free(all[i]);
    }
    free(all);
    log_info(UNIT, "%d of %d modules of %s are loaded", loaded, n, dir);
}
