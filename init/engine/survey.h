/* survey.h — what kind of box is this? Facts only, no decisions, and nothing changed:
 * the same survey serves `prepare` and `doctor`.
 */
#ifndef ENGINE_SURVEY_H
#define ENGINE_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "engine/prepare.h"
#include "netlink/nft.h"

enum engine_cgroup_kind {
    CGROUP_NONE,   /* nothing of the kind on /sys/fs/cgroup */
    CGROUP_LEGACY, /* version 1, with or without a version 2 tree beside it */
    CGROUP_UNIFIED /* version 2 */
};

enum engine_overlay {
    OVERLAY_UNKNOWN, /* could not be tried: no private mount namespace to be had */
    OVERLAY_WORKS,
    OVERLAY_FAILS /* mounted and refused; overlay_code says how */
};

struct engine_facts {
    /* Who we are. */
    uint32_t uid;
    uint64_t caps;       /* effective, bit n for capability n (capability.h) */
    bool userns_initial; /* not inside a user namespace */
    bool tls_certdir;    /* DOCKER_TLS_CERTDIR is set and not empty */
    char home[MAX_ENGINE_PATH], runtime_dir[MAX_ENGINE_PATH], config_home[MAX_ENGINE_PATH];

    /* What is installed. */
    bool script, dockerd, rootless_script; /* dockerd-entrypoint.sh, dockerd, dockerd-rootless.sh */
    bool rootlesskit, newuidmap, rootless_net; /* the last: slirp4netns, pasta or vpnkit */
    bool iptables, nft;
    uint32_t dockerd_major; /* version.h, once it was asked; 0: not known */

    /* The kernel. */
    enum engine_cgroup_kind cgroup;
    bool cgroup_writable, cgroup_read_only; /* may write; is mounted read-only */
    bool cgroup_own_root; /* the mount shows our own namespace's root, not another tree */
    char controllers[128];
    enum nft_state nf_tables;
    bool legacy_tables;    /* /proc/net/ip_tables_names exists */
    bool forwarding_stuck; /* IPv4 is not forwarded, and nobody here can change that */
    enum engine_overlay overlay;
    int overlay_code;    /* errno of the refusal */
    bool fuse_overlayfs; /* the program, and a /dev/fuse that opens */
    bool tun;            /* a /dev/net/tun that opens */

    /* The box around us. */
    bool gvisor, firecracker, sysbox, kubernetes, dagger;
    char host_socket[MAX_ENGINE_PATH]; /* a docker.sock mounted from outside; or "" */

    /* The engine's own state. */
    char json_path[MAX_ENGINE_PATH]; /* daemon.json that dockerd will read */
    int json_error;                  /* errno of reading it; 0 also when it is missing */
    bool json_writable;              /* it can be replaced where it is */
    bool run_writable;               /* /run/pinnace/daemon.json can be written instead */
    char data_root[MAX_ENGINE_PATH], exec_root[MAX_ENGINE_PATH], pidfile[MAX_ENGINE_PATH];
    char stored_driver[24]; /* storage driver whose data the data root holds; or "" */
    bool pidfile_exists;
};

/* Step one: who we are and what is installed. Needs /proc, the environment, PATH. */
void survey_self(struct engine_facts *f);

/* Step two, once plan.h's engine_locate has filled in the paths from flags and
 * daemon.json: the kernel, the file systems, what is stored. Tries a real overlay mount
 * under the data root, in a private mount namespace and a directory removed again;
 * bounded by 3 s. */
void survey_box(struct engine_facts *f);

/* Is `program` executable in a directory of `path` (the value of PATH)? */
bool survey_has_program(const char *path, const char *program);

#endif
