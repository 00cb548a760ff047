/* procfs.h — PURE: read the text of /proc files. */
#ifndef ENGINE_PROCFS_H
#define ENGINE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)), octal escapes undone. A field
 * that does not fit is cut. */
struct mount_line {
    char root[256];    /* of the mount within its file system; "/../.." when outside of
                          our cgroup namespace (cgroup_namespaces(7)) */
    char point[256];   /* where it is mounted */
    char options[128]; /* of this mount: "rw,nosuid" */
    char type[32];
    char source[128];
};

/* The next line at *at, which moves on; false at the end. Malformed lines are skipped. */
bool mountinfo_next(const char **at, struct mount_line *out);

/* The mount that is seen at `point`: the last one there, as it hides earlier ones. */
bool mountinfo_find(const char *text, const char *point, struct mount_line *out);

/* A word of a comma-separated list. */
bool has_option(const char *options, const char *word);

/* The value of a hexadecimal field of /proc/PID/status, such as "CapEff". */
bool status_hex(const char *text, const char *field, uint64_t *out);

/* /proc/PID/uid_map of the initial user namespace: all 2^32-1 ids, each to itself. */
bool uid_map_is_full(const char *text);

/* The path in the unified hierarchy, from /proc/PID/cgroup ("0::PATH"). */
bool cgroup_path(const char *text, char *out, size_t cap);

/* gVisor's /proc/version has one fixed build date in all its releases. */
bool version_is_gvisor(const char *text);

#endif
