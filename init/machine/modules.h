/* modules.h — kernel modules that are needed before anything else. */
#ifndef MACHINE_MODULES_H
#define MACHINE_MODULES_H

enum { MAX_MODULES = 256 };

/* Load every file of `dir` that is a module (.ko, .ko.gz, .ko.xz, .ko.zst), in the order of their
 * names: nothing is known here of what depends on what. A directory that is not there is none. What
 * fails is logged. init_module(2). */
void modules_load(const char *dir);

#endif
