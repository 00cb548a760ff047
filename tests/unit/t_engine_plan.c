/* The engine's plan as a table: a box, a configuration and a daemon.json give a command,
 * settings for daemon.json, and findings. A row says how it differs from a good box.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/plan.h"
#include "tests/unit/tap.h"

static struct engine_facts good_box(void) {
    struct engine_facts f = { .caps = UINT64_MAX,
                              .userns_initial = true,
                              .script = true,
                              .dockerd = true,
                              .tls_certdir = true,
                              .iptables = true,
                              .cgroup = CGROUP_UNIFIED,
                              .cgroup_writable = true,
                              .cgroup_own_root = true,
                              .nf_tables = NFT_USABLE,
                              .overlay = OVERLAY_WORKS,
                              .json_writable = true,
                              .run_writable = true };
    (void)snprintf(f.home, sizeof f.home, "/home/u");
    return f;
}

/* What a row changes in the box. */
typedef void change(struct engine_facts *f);
static void no_script(struct engine_facts *f) { f->script = false; }
static void no_engine(struct engine_facts *f) { f->script = f->dockerd = false; }
static void no_rights(struct engine_facts *f) { f->nf_tables = NFT_DENIED; }
static void no_netfilter(struct engine_facts *f) { f->nf_tables = NFT_ABSENT; }
static void legacy(struct engine_facts *f) {
    f->nf_tables = NFT_ABSENT;
    f->legacy_tables = true;
}
static void legacy_no_cap(struct engine_facts *f) {
    legacy(f);
    f->caps = ~(UINT64_C(1) << CAP_NET_ADMIN);
}
static void nf_unknown(struct engine_facts *f) { f->nf_tables = NFT_UNKNOWN; }
static void stuck(struct engine_facts *f) { f->forwarding_stuck = true; }
static void no_iptables(struct engine_facts *f) { f->iptables = false; }
static void nft_only(struct engine_facts *f) {
    f->iptables = false;
    f->nft = true;
}
static void no_overlay(struct engine_facts *f) {
    f->overlay = OVERLAY_FAILS;
    f->overlay_code = EINVAL;
}
static void fuse(struct engine_facts *f) {
    no_overlay(f);
    f->fuse_overlayfs = true;
}
static void overlay_untried(struct engine_facts *f) { f->overlay = OVERLAY_UNKNOWN; }
static void stored_overlay(struct engine_facts *f) {
    no_overlay(f);
    (void)snprintf(f->stored_driver, sizeof f->stored_driver, "overlay2");
}
static void stored_vfs(struct engine_facts *f) {
    no_overlay(f);
    (void)snprintf(f->stored_driver, sizeof f->stored_driver, "vfs");
}
static void read_only(struct engine_facts *f) {
    no_rights(f);
    f->json_writable = false;
}
static void all_read_only(struct engine_facts *f) {
    read_only(f);
    f->run_writable = false;
}
static void no_certdir(struct engine_facts *f) { f->tls_certdir = false; }
static void rootless(struct engine_facts *f) {
    f->uid = 1000;
    f->caps = 0;
    f->rootlesskit = f->newuidmap = f->rootless_net = f->rootless_script = f->tun = true;
}
static void stuck_rootless(struct engine_facts *f) {
    rootless(f);
    f->forwarding_stuck = true;
}
static void rootless_no_tun(struct engine_facts *f) {
    rootless(f);
    f->tun = false;
}
static void rootless_denied(struct engine_facts *f) {
    rootless(f);
    no_rights(f);
    (void)snprintf(f->runtime_dir, sizeof f->runtime_dir, "/run/u");
}
static void rootless_bare(struct engine_facts *f) {
    rootless_denied(f);
    f->script = f->rootless_net = false;
}
static void rootless_no_tools(struct engine_facts *f) {
    rootless(f);
    f->newuidmap = false;
}
static void rootless_nothing(struct engine_facts *f) {
    f->uid = 1000;
    f->script = false;
}
static void rootless_read_only(struct engine_facts *f) {
    rootless(f);
    fuse(f);
    f->json_writable = false;
}
static void unreadable(struct engine_facts *f) {
    no_rights(f);
    f->json_error = EACCES;
}
static void worst(struct engine_facts *f) {
    no_rights(f);
    no_overlay(f);
}
static void host_socket(struct engine_facts *f) {
    (void)snprintf(f->host_socket, sizeof f->host_socket, "/var/run/docker.sock");
}
static void unprivileged(struct engine_facts *f) {
    f->caps = 0xa80425fb;
    f->nf_tables = NFT_DENIED;
    f->overlay = OVERLAY_UNKNOWN;
    f->cgroup_writable = false;
    f->cgroup_read_only = true;
}

/* Command line, settings for daemon.json ("key=value ..."), part of a finding ("" for
 * none of warning level or above), socket. */
struct row {
    const char *what;
    change *box;
    const char *command, *flags; /* NULL: auto, none */
    const char *json;
    const char *words, *settings, *finding, *socket;
    enum engine_iptables iptables;
    enum engine_json mode;
    const char *driver;
};

#define SCRIPT "dockerd-entrypoint.sh dockerd"
#define SOCK   "/var/run/docker.sock"
#define NAT    "iptables=false ip6tables=false"
#define NATF   " --iptables=false --ip6tables=false"
#define NOBR   " bridge=\"none\""
#define NOBRF  " --bridge=none"

/* clang-format off */
static const struct row rows[] = {
    /* the command */
    { "a good docker:dind", NULL, NULL, NULL, NULL, SCRIPT, "", "", .socket = SOCK },
    { "no script", no_script, NULL, NULL, NULL, "dockerd", "", "", .socket = SOCK },
    { "flags of the user", NULL, NULL, "--log-level=warn -D", NULL, SCRIPT " --log-level=warn -D", "", "", .socket = SOCK },
    { "a command of the user", NULL, "/opt/dockerd --debug", "-l warn", NULL, "/opt/dockerd --debug -l warn", "", "", .socket = SOCK },
    { "behind a wrapper", no_rights, "nice -n 5 dockerd", NULL, NULL, "nice -n 5 dockerd" NATF NOBRF, "", "NAT is not possible", .socket = SOCK, .mode = ENGINE_JSON_OFF },
    { "not dockerd, merge", no_rights, "sh -c start", NULL, NULL, "sh -c start", NAT NOBR, "NAT is not possible", .socket = SOCK },
    { "not dockerd, no file", no_rights, "sh -c start", "--x", NULL, "sh -c start --x", "", "iptables=false cannot be set", .socket = SOCK, .mode = ENGINE_JSON_OFF },
    { "the script, building", NULL, "dockerd-entrypoint.sh", NULL, NULL, "dockerd-entrypoint.sh", "", "", .socket = SOCK },
    { "the script, building without TLS", no_certdir, "dockerd-entrypoint.sh", NULL, NULL, "dockerd-entrypoint.sh --tls=false", "", "plain TCP", .socket = SOCK },
    { "the script, building, and TCP", NULL, "dockerd-entrypoint.sh -H tcp://:1", NULL, NULL, "dockerd-entrypoint.sh -H tcp://:1", "", "", .socket = SOCK },
    { "the script for another program", no_rights, "dockerd-entrypoint.sh sh", NULL, NULL, "dockerd-entrypoint.sh sh", NAT NOBR, "NAT", .socket = SOCK },
    { "rootless script", rootless, NULL, NULL, NULL, SCRIPT, "", "", .socket = "/run/user/1000/docker.sock" },
    { "rootless without a tun", rootless_no_tun, NULL, NULL, NULL, SCRIPT, "", "--device=/dev/net/tun", .socket = "/run/user/1000/docker.sock" },
    { "rootless, no rights outside", rootless_denied, NULL, NULL, NULL, SCRIPT, "", "", .socket = "/run/u/docker.sock" },
    { "rootless without the script", rootless_bare, NULL, "-D", NULL, "dockerd-rootless.sh -D", "", "none of slirp4netns", .socket = "/run/u/docker.sock" },
    { "rootless by the user's word", NULL, "dockerd-rootless.sh", "-H :1", NULL, "dockerd-rootless.sh -H :1 --host=unix:///run/user/0/docker.sock --tls=false", "", "plain TCP", .socket = "/run/user/0/docker.sock" },
    /* NAT */
    { "no rights: merge", no_rights, NULL, NULL, NULL, SCRIPT, NAT NOBR, "CAP_NET_ADMIN over", .socket = SOCK },
    { "no rights: flags", no_rights, NULL, NULL, NULL, SCRIPT NATF NOBRF, "", "CAP_NET_ADMIN over", .socket = SOCK, .mode = ENGINE_JSON_OFF },
    { "no netfilter at all", no_netfilter, NULL, NULL, NULL, SCRIPT, NAT, "neither nf_tables nor legacy", .socket = SOCK },
    { "legacy only", legacy, NULL, NULL, NULL, SCRIPT, "", "", .socket = SOCK },
    { "legacy without the right", legacy_no_cap, NULL, NULL, NULL, SCRIPT, NAT NOBR, "no CAP_NET_ADMIN", .socket = SOCK },
    { "the kernel is unclear", nf_unknown, NULL, NULL, NULL, SCRIPT, "", "", .socket = SOCK },
    { "no iptables program", no_iptables, NULL, NULL, NULL, SCRIPT, NAT, "no iptables program", .socket = SOCK },
    { "nft alone is not enough", nft_only, NULL, NULL, NULL, SCRIPT, NAT, "no iptables program", .socket = SOCK },
    { "nft and its backend", nft_only, NULL, "--firewall-backend=nftables", NULL, SCRIPT " --firewall-backend=nftables", "", "", .socket = SOCK },
    { "its backend without nft", NULL, NULL, NULL, "{\"firewall-backend\":\"nftables\"}", SCRIPT, NAT, "no nft program", .socket = SOCK },
    { "off", NULL, NULL, NULL, NULL, SCRIPT, NAT, "", .socket = SOCK, .iptables = ENGINE_IPTABLES_OFF },
    { "on, and not possible", no_rights, NULL, NULL, NULL, SCRIPT, "bridge=\"none\"", "is asked for", .socket = SOCK, .iptables = ENGINE_IPTABLES_ON },
    { "on", NULL, NULL, NULL, NULL, SCRIPT, "", "", .socket = SOCK, .iptables = ENGINE_IPTABLES_ON },
    { "forwarding is stuck", stuck, NULL, NULL, NULL, SCRIPT, "ip-forward=false", "IPv4 forwarding is off", .socket = SOCK },
    { "stuck, and a flag says what to do", stuck, NULL, "--ip-forward=false", NULL, SCRIPT " --ip-forward=false", "", "", .socket = SOCK },
    { "stuck, and a key says so", stuck, NULL, NULL, "{\"ip-forward\":true}", SCRIPT, "", "", .socket = SOCK },
    { "stuck here, not in rootlesskit's namespace", stuck_rootless, NULL, NULL, NULL, SCRIPT, "", "", .socket = "/run/user/1000/docker.sock" },
    { "rootless, off by the user", rootless, NULL, NULL, NULL, SCRIPT, NAT, "", .socket = "/run/user/1000/docker.sock", .iptables = ENGINE_IPTABLES_OFF },
    { "a flag of the user wins", no_rights, NULL, "--iptables=false", NULL, SCRIPT " --iptables=false", "ip6tables=false" NOBR, "NAT is not", .socket = SOCK },
    { "a key of the user wins", no_rights, NULL, NULL, "{\"iptables\":false,\"ip6tables\":false}", SCRIPT, "bridge=\"none\"", "NAT is not", .socket = SOCK },
    { "the user insists by key", no_rights, NULL, NULL, "{\"iptables\":true}", SCRIPT, "bridge=\"none\"", "is asked for", .socket = SOCK },
    { "the user insists by flag", no_rights, NULL, "--iptables", NULL, SCRIPT " --iptables", "bridge=\"none\"", "is asked for", .socket = SOCK },
    { "a key left from elsewhere", NULL, NULL, NULL, "{\"iptables\":false}", SCRIPT, "", "though NAT is possible", .socket = SOCK },
    /* storage */
    { "no overlay: vfs", no_overlay, NULL, NULL, NULL, SCRIPT, "storage-driver=\"vfs\"", "copies every layer", .socket = SOCK },
    { "no overlay: flag", no_overlay, NULL, NULL, NULL, SCRIPT " --storage-driver=vfs", "", "copies every layer", .socket = SOCK, .mode = ENGINE_JSON_OFF },
    { "fuse", fuse, NULL, NULL, NULL, SCRIPT, "storage-driver=\"fuse-overlayfs\"", "", .socket = SOCK },
    { "overlay could not be tried", overlay_untried, NULL, NULL, NULL, SCRIPT, "", "", .socket = SOCK },
    { "data of another driver", stored_overlay, NULL, NULL, NULL, SCRIPT, "", "holds data of overlay2", .socket = SOCK },
    { "data of the same driver", stored_vfs, NULL, NULL, NULL, SCRIPT, "storage-driver=\"vfs\"", "vfs", .socket = SOCK },
    { "a driver in our config", NULL, NULL, NULL, NULL, SCRIPT, "storage-driver=\"btrfs\"", "", .socket = SOCK, .driver = "btrfs" },
    { "a driver that needs quoting", NULL, NULL, NULL, NULL, SCRIPT, "storage-driver=\"a\\\"b\"", "", .socket = SOCK, .driver = "a\"b" },
    { "a driver that is too long", NULL, NULL, NULL, NULL, SCRIPT, "", "is too long", .socket = SOCK, .driver = "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890" },
    { "the user's driver by letter", no_overlay, NULL, "-s zfs", NULL, SCRIPT " -s zfs", "", "", .socket = SOCK, .driver = "btrfs" },
    { "the user's driver by key", no_overlay, NULL, NULL, "{\"storage-driver\":\"zfs\"}", SCRIPT, "", "", .socket = SOCK },
    /* sockets */
    { "plain TCP", NULL, NULL, "-H tcp://0.0.0.0:2375", NULL, SCRIPT " -H tcp://0.0.0.0:2375 --host=unix:///var/run/docker.sock --tls=false", "", "plain TCP", .socket = SOCK },
    { "plain TCP with its socket", NULL, NULL, "-H tcp://:1 -H unix://", NULL, SCRIPT " -H tcp://:1 -H unix:// --tls=false", "", "plain TCP", .socket = SOCK },
    { "a host without a scheme", NULL, NULL, "--host :1", NULL, SCRIPT " --host :1 --host=unix:///var/run/docker.sock --tls=false", "", "plain TCP", .socket = SOCK },
    { "TCP with TLS", NULL, NULL, "-H tcp://:1 --tlsverify", NULL, SCRIPT " -H tcp://:1 --tlsverify --host=unix:///var/run/docker.sock", "", "", .socket = SOCK },
    { "TCP with TLS in the file", NULL, NULL, "-H tcp://:1", "{\"tls\":true}", SCRIPT " -H tcp://:1 --host=unix:///var/run/docker.sock", "", "", .socket = SOCK },
    { "another socket", NULL, NULL, "-H unix:///x/y.sock", NULL, SCRIPT " -H unix:///x/y.sock", "", "", .socket = "/x/y.sock" },
    { "a socket handed over", NULL, NULL, "-H fd://", NULL, SCRIPT " -H fd://", "", "", .socket = SOCK },
    { "hosts in the file", NULL, NULL, NULL, "{\"hosts\":[\"unix:///a.sock\"]}", SCRIPT, "", "", .socket = "/a.sock" },
    { "hosts in the file, TCP too", NULL, NULL, NULL, "{\"hosts\":[\"tcp://:1\",\"unix:///a.sock\"]}", SCRIPT " --tls=false", "", "plain TCP", .socket = "/a.sock" },
    { "hosts in the file, no socket", NULL, NULL, NULL, "{\"hosts\":[\"tcp://:1\"],\"tlsverify\":true}", SCRIPT, "", "has no unix:// socket", .socket = "" },
    { "hosts in both", NULL, NULL, "-H unix:///b", "{\"hosts\":[\"unix:///a\"]}", SCRIPT " -H unix:///b", "", "hosts is both", .socket = "/b" },
    { "hosts in the file and the script's", NULL, "dockerd-entrypoint.sh", NULL, "{\"hosts\":[\"unix:///a\"]}", "dockerd-entrypoint.sh", "", "added by dockerd-entrypoint.sh", .socket = SOCK },
    /* daemon.json */
    { "read-only: another file", read_only, NULL, NULL, NULL, SCRIPT " --config-file=/run/pinnace/daemon.json", NAT NOBR, "NAT", .socket = SOCK },
    { "read-only, the user's own file", read_only, NULL, "--config-file=/x.json", NULL, SCRIPT " --config-file=/x.json" NATF NOBRF, "", "NAT", .socket = SOCK },
    { "all is read-only", all_read_only, NULL, NULL, NULL, SCRIPT NATF NOBRF, "", "NAT", .socket = SOCK },
    { "read-only and rootless", rootless_read_only, NULL, NULL, NULL, SCRIPT " --storage-driver=fuse-overlayfs", "", "", .socket = "/run/user/1000/docker.sock" },
    { "read-only and not dockerd", all_read_only, "podman serve", NULL, NULL, "podman serve", "", "the command is not dockerd", .socket = SOCK },
    { "malformed", no_rights, NULL, NULL, "{\n  x}", SCRIPT, "", "d.json:2:3: ", .socket = SOCK },
    { "malformed: no flags either", no_rights, NULL, NULL, "{", SCRIPT, "", "daemon.json is not understood", .socket = SOCK, .mode = ENGINE_JSON_OFF },
    { "unreadable", unreadable, NULL, NULL, NULL, SCRIPT, "", "Permission denied (left alone)", .socket = SOCK },
    { "malformed, but ours", no_rights, NULL, NULL, "{", SCRIPT, NAT NOBR, "NAT", .socket = SOCK, .mode = ENGINE_JSON_OWN },
    { "ours: the old keys are gone", no_rights, NULL, NULL, "{\"iptables\":true}", SCRIPT, NAT NOBR, "NAT is not", .socket = SOCK, .mode = ENGINE_JSON_OWN },
    { "a mark in front", no_rights, NULL, NULL, "\xef\xbb\xbf{\"iptables\":false}", SCRIPT, "ip6tables=false" NOBR, "NAT", .socket = SOCK },
    { "both: a list by its other name", NULL, NULL, "--dns-opt=a --storage-opt=b", "{\"storage-opts\":[]}", SCRIPT " --dns-opt=a --storage-opt=b", "", "storage-opts is both", .socket = SOCK },
    { "both: runtimes is allowed", NULL, NULL, "--add-runtime=a=b", "{\"runtimes\":{}}", SCRIPT " --add-runtime=a=b", "", "", .socket = SOCK },
    { "two wishes at once", worst, NULL, NULL, NULL, SCRIPT, NAT NOBR " storage-driver=\"vfs\"", "NAT", .socket = SOCK },
    /* the box */
    { "a host's socket", host_socket, NULL, NULL, NULL,
      SCRIPT " --host=unix:///run/pinnace/docker.sock", "", "not a sandbox",
      .socket = "/run/pinnace/docker.sock" },
    { "an unprivileged container", unprivileged, NULL, NULL, NULL, SCRIPT, NAT NOBR, "no CAP_SYS_ADMIN", .socket = SOCK },
};

static const struct {
    const char *what;
    change *box;
    const char *command, *flags;
    int code;
    const char *text;
} failures[] = {
    { "nothing installed", no_engine, NULL, NULL, -ENOENT, "no dockerd-entrypoint.sh and no dockerd" },
    { "rootless, nothing installed", rootless_nothing, NULL, NULL, -ENOENT, "user 1000 needs" },
    { "rootless without newuidmap", rootless_no_tools, NULL, NULL, -EPERM, "missing: newuidmap" },
    { "an empty command", NULL, "", NULL, -ENOENT, "is empty" },
    { "too many words", NULL, NULL, "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3", -E2BIG, "longer than 64 words" },
};
/* clang-format on */

static char **words_of(const char *text) {
    char **words = NULL;
    size_t n;
    struct err e;
    return split_words(text, &words, &n, &e) < 0 ? NULL : words;
}

static struct engine_plan plan; /* large: not for the stack of a sanitizer's build */

static int make_plan(const struct row *r, struct engine_facts *f, struct err *e) {
    struct engine_conf conf = { .iptables = r->iptables, .daemon_json = r->mode };
    const char *json = r->json ? r->json : "";
    conf.command = words_of(r->command ? r->command : "auto");
    conf.flags = words_of(r->flags ? r->flags : "");
    conf.storage_driver = strdup(r->driver ? r->driver : "auto");
    *f = good_box();
    if (r->box)
        r->box(f);
    (void)snprintf(f->json_path, sizeof f->json_path, "d.json");
    int rc = engine_plan(&plan, &conf, f, NULL, (struct json_text){ json, strlen(json) }, e);
    free(conf.command);
    free(conf.flags);
    free(conf.storage_driver);
    return rc;
}

static const char *joined(char *buf, size_t cap) {
    struct text t = { .buf = buf, .cap = cap };
    buf[0] = '\0';
    for (size_t at = 0, i = 0; i < plan.nwords; i++, at += strlen(plan.words + at) + 1)
        text_add(&t, "%s%s", i ? " " : "", plan.words + at);
    return buf;
}

static const char *settings(char *buf, size_t cap) {
    struct text t = { .buf = buf, .cap = cap };
    buf[0] = '\0';
    for (size_t i = 0; i < plan.nsettings; i++)
        text_add(&t, "%s%s=%s", i ? " " : "", plan.settings[i].key, plan.settings[i].json);
    return buf;
}

static bool found(const char *text) {
    bool serious = false, hit = false;
    for (size_t i = 0; i < plan.nfindings; i++) {
        serious |= plan.findings[i].level <= LOG_WARN;
        hit |= *text && strstr(plan.findings[i].text, text);
    }
    return *text ? hit : !serious;
}

static void tell_findings(void) {
    for (size_t i = 0; i < plan.nfindings; i++)
        printf("#   %d %s\n", (int)plan.findings[i].level, plan.findings[i].text);
}

/* What the plan wants in daemon.json really is in neither place yet, and gets there. */
static bool merges(const struct row *r) {
    struct json_want wants[MAX_ENGINE_SETTINGS + 1] = { 0 };
    struct json_merged m;
    const char *json = plan.json_from_scratch || !r->json ? "" : r->json;
    for (size_t i = 0; i < plan.nsettings; i++)
        wants[i] = (struct json_want){ plan.settings[i].key, plan.settings[i].json };
    struct json_text text = { json, strlen(json) };
    int rc = daemon_json_merge(&m, "d.json", text, wants, NULL);
    free(m.text);
    return plan.nsettings ? rc == 1 && plan.json_write[0] : !plan.json_write[0] || r->mode;
}

static void check_row(const struct row *r) {
    char words[1024], wants[512];
    struct engine_facts f;
    struct err e = { 0 };
    int rc = make_plan(r, &f, &e);
    OK(rc == 0 && strcmp(joined(words, sizeof words), r->words) == 0, "%s: %s", r->what, words);
    OK(strcmp(settings(wants, sizeof wants), r->settings) == 0, "  daemon.json gets '%s'", wants);
    OK(found(r->finding), "  finds '%s'", r->finding);
    if (!found(r->finding))
        tell_findings();
    OK(strcmp(plan.socket, r->socket) == 0, "  asks %s", plan.socket);
    OK(merges(r), "  and the file can take them");
}

static void check_failure(size_t i) {
    struct row r = { .box = failures[i].box,
                     .command = failures[i].command,
                     .flags = failures[i].flags };
    struct engine_facts f;
    struct err e = { 0 };
    int rc = make_plan(&r, &f, &e);
    OK(rc == failures[i].code && strstr(e.text, failures[i].text), "%s: %s", failures[i].what,
       e.text);
}

static void places(void) {
    struct engine_conf conf = { 0 };
    struct engine_facts f = { .uid = 0 };
    char *autos[] = { (char *)(size_t) "auto", NULL };
    char *flags[] = { (char *)(size_t) "--data-root=/d", (char *)(size_t) "-p",
                      (char *)(size_t) "/p", NULL };
    conf.command = autos;
    struct json_text text = { "{\"data-root\":\"/j\",\"exec-root\":\"/e\"}", 36 };
    text.len = strlen(text.at);
    engine_locate_json(&conf, &f);
    OK(strcmp(f.json_path, "/etc/docker/daemon.json") == 0, "daemon.json of root");
    engine_locate_state(&conf, &f, (struct json_text){ "", 0 });
    OK(strcmp(f.data_root, "/var/lib/docker") == 0 && strcmp(f.exec_root, "/var/run/docker") == 0 &&
           strcmp(f.pidfile, "/var/run/docker.pid") == 0,
       "its directories");
    engine_locate_state(&conf, &f, text);
    OK(strcmp(f.data_root, "/j") == 0 && strcmp(f.exec_root, "/e") == 0, "moved by daemon.json");
    conf.flags = flags;
    engine_locate_state(&conf, &f, text);
    OK(strcmp(f.data_root, "/d") == 0 && strcmp(f.pidfile, "/p") == 0, "moved by flags");
    conf.daemon_json = ENGINE_JSON_OWN;
    engine_locate_state(&conf, &f, text);
    OK(strcmp(f.exec_root, "/var/run/docker") == 0, "a file that will be ours does not count");
}

static void places_of_rootless(void) {
    struct engine_conf conf = { 0 };
    struct engine_facts f = good_box();
    char *autos[] = { (char *)(size_t) "auto", NULL };
    char *flags[] = { (char *)(size_t) "--config-file", (char *)(size_t) "/c.json", NULL };
    conf.command = autos;
    rootless(&f);
    engine_locate_json(&conf, &f);
    OK(strcmp(f.json_path, "/home/u/.config/docker/daemon.json") == 0, "rootless: %s", f.json_path);
    engine_locate_state(&conf, &f, (struct json_text){ "", 0 });
    OK(strcmp(f.data_root, "/home/u/.local/share/docker") == 0 &&
           strcmp(f.exec_root, "/run/user/1000/docker") == 0 &&
           strcmp(f.pidfile, "/run/user/1000/docker.pid") == 0,
       "its directories");
    (void)snprintf(f.config_home, sizeof f.config_home, "/cfg");
    engine_locate_json(&conf, &f);
    OK(strcmp(f.json_path, "/cfg/docker/daemon.json") == 0, "XDG_CONFIG_HOME: %s", f.json_path);
    conf.flags = flags;
    engine_locate_json(&conf, &f);
    OK(strcmp(f.json_path, "/c.json") == 0, "--config-file: %s", f.json_path);
}

static void expect_cgroup(const char *what, const struct engine_facts *f, enum engine_cgroup mode,
                          bool evacuate, bool remount) {
    char *autos[] = { (char *)(size_t) "auto", NULL };
    struct engine_conf conf = { .command = autos, .cgroup = mode };
    struct err e;
    int rc = engine_plan(&plan, &conf, f, NULL, (struct json_text){ "", 0 }, &e);
    OK(rc == 0 && plan.cgroup_evacuate == evacuate && plan.cgroup_remount == remount,
       "cgroup, %s: %s%s", what, evacuate ? "divided" : "left", remount ? ", made writable" : "");
}

static void cgroups(void) {
    struct engine_facts f = good_box();
    expect_cgroup("ours", &f, ENGINE_CGROUP_AUTO, true, false);
    OK(plan.share_root && plan.mount_securityfs && !plan.tmpfs_tmp, "mounts of a privileged box");
    expect_cgroup("ours, but off", &f, ENGINE_CGROUP_OFF, false, false);
    f.cgroup_own_root = false;
    expect_cgroup("another's tree", &f, ENGINE_CGROUP_AUTO, false, false);
    OK(found("not ours alone"), "and says so");
    f = good_box();
    f.cgroup_writable = false;
    f.cgroup_read_only = true;
    expect_cgroup("read-only", &f, ENGINE_CGROUP_AUTO, true, true);
    f.caps = 0xa80425fb;
    expect_cgroup("read-only, unprivileged", &f, ENGINE_CGROUP_AUTO, false, false);
    OK(found("/sys/fs/cgroup is read-only") && !plan.share_root, "and says so");
    f = good_box();
    f.cgroup_writable = false;
    expect_cgroup("not ours to write", &f, ENGINE_CGROUP_AUTO, false, false);
    OK(found("belongs to somebody else"), "and says so");
    f.cgroup = CGROUP_LEGACY;
    expect_cgroup("version 1", &f, ENGINE_CGROUP_AUTO, false, false);
    OK(found(""), "and has nothing to say");
    f.cgroup = CGROUP_NONE;
    expect_cgroup("none", &f, ENGINE_CGROUP_AUTO, false, false);
    OK(found("no cgroup file system"), "and says so");
    f = good_box();
    rootless(&f);
    expect_cgroup("rootless", &f, ENGINE_CGROUP_AUTO, false, false);
    OK(!plan.share_root && !plan.mount_securityfs && plan.rootless, "no mounts of rootless");
}

static void commands(void) {
    static const char *const yes[][4] = { { "dockerd", NULL },
                                          { "/usr/bin/dockerd", "-D", NULL },
                                          { "dockerd-rootless.sh", NULL },
                                          { "dockerd-entrypoint.sh", NULL },
                                          { "/x/dockerd-entrypoint.sh", "--debug", NULL },
                                          { "dockerd-entrypoint.sh", "dockerd", "-D", NULL } };
    static const char *const no[][4] = { { "dockerd-entrypoint.sh", "docker", "info", NULL },
                                         { "docker", NULL },
                                         { "xdockerd", NULL },
                                         { "dockerd/", NULL },
                                         { "sh", "dockerd", NULL },
                                         { "", NULL },
                                         { NULL } };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        OK(engine_is_command(yes[i]), "%s is an engine", yes[i][0]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        OK(!engine_is_command(no[i]), "%s is none", no[i][0] ? no[i][0] : "(nothing)");
    OK(!engine_is_command(NULL), "nor is nothing at all");
}

static void hints(void) {
    struct engine_facts f = good_box();
    char *autos[] = { (char *)(size_t) "auto", NULL };
    struct engine_conf conf = { .command = autos, .tmpfs_tmp = true };
    struct err e;
    f.gvisor = f.firecracker = f.sysbox = f.kubernetes = f.dagger = f.pidfile_exists = true;
    f.userns_initial = false;
    OK(engine_plan(&plan, &conf, &f, NULL, (struct json_text){ "", 0 }, &e) == 0 && plan.tmpfs_tmp,
       "a box of all kinds");
    OK(found("gVisor") && found("Firecracker") && found("Sysbox") && found("Kubernetes") &&
           found("Dagger") && found("user namespace") && found("earlier run"),
       "each is told");
    OK(found(""), "none is a warning");
}

int main(void) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i]);
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        check_failure(i);
    places();
    places_of_rootless();
    cgroups();
    commands();
    hints();
    return tap_end();
}
