/* PURE: no I/O. */
#include "engine/plan.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "engine/flags.h"

#define RUN_JSON "/run/pinnace/daemon.json"

/* So that key, quotes and value fit the fields of struct engine_setting. */
enum { MAX_SETTING_VALUE = 48 };

/* Everything the steps of one plan look at. */
struct planner {
    const struct engine_conf *conf;
    const struct engine_facts *facts;
    struct engine_plan *out;
    struct daemon_json json;
    bool json_bad;          /* cannot be read: whatever we add might clash */
    struct flag_list given; /* the user's own flags */
    bool takes_flags;       /* the command hands its arguments to dockerd */
    bool script_builds;     /* the entry script adds its own --host and --tls flags */
    bool too_long;
};

__attribute__((format(printf, 3, 4))) static void find(struct planner *p, enum log_level level,
                                                       const char *fmt, ...) {
    if (p->out->nfindings == MAX_FINDINGS)
        return;
    struct finding *f = &p->out->findings[p->out->nfindings++];
    f->level = level;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
}

static void add_word(struct planner *p, const char *word) {
    struct engine_plan *o = p->out;
    size_t len = strlen(word) + 1;
    if (o->nwords == MAX_ENGINE_WORDS || len > sizeof o->words - o->words_len) {
        p->too_long = true;
        return;
    }
    memcpy(o->words + o->words_len, word, len);
    o->words_len += len;
    o->nwords++;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_called(const char *word, const char *name) {
    return strcmp(base_name(word), name) == 0;
}

static size_t count(char *const *words) {
    size_t n = 0;
    while (words && words[n])
        n++;
    return n;
}

bool engine_is_command(const char *const *argv) {
    if (!argv || !argv[0])
        return false;
    if (is_called(argv[0], "dockerd") || is_called(argv[0], "dockerd-rootless.sh"))
        return true;
    /* The entry script runs dockerd unless it is told another program. */
    return is_called(argv[0], "dockerd-entrypoint.sh") &&
           (!argv[1] || argv[1][0] == '-' || is_called(argv[1], "dockerd"));
}

static bool is_auto(const struct engine_conf *conf) {
    return count(conf->command) == 1 && strcmp(conf->command[0], "auto") == 0;
}

/* The word where the engine itself begins, behind wrappers such as nice; n if none. */
static size_t engine_word(char *const *words) {
    size_t i = 0;
    while (words && words[i] && !engine_is_command((const char *const *)words + i))
        i++;
    return i;
}

/* The flags the user gave: behind the command, and in `flags`. */
static void user_flags(struct flag_list *out, const struct engine_conf *conf) {
    out->n = 0;
    if (!is_auto(conf)) {
        size_t at = engine_word(conf->command), n = count(conf->command);
        flags_parse(out, (const char *const *)conf->command + at, n - at);
    }
    flags_parse(out, (const char *const *)conf->flags, count(conf->flags));
}

static bool is_rootless(const struct engine_conf *conf, const struct engine_facts *facts,
                        const struct flag_list *given) {
    if (facts->uid != 0 || flags_find(given, "rootless"))
        return true;
    for (size_t i = 0; i < count(conf->command); i++)
        if (is_called(conf->command[i], "dockerd-rootless.sh"))
            return true;
    return false;
}

static int auto_command(struct planner *p, struct err *e) {
    const struct engine_facts *f = p->facts;
    p->takes_flags = true;
    if (f->uid == 0 && !f->script && !f->dockerd)
        return err_set(e, ENOENT, "no dockerd-entrypoint.sh and no dockerd on the PATH");
    if (f->uid != 0 && !f->script && !f->rootless_script)
        return err_set(e, ENOENT,
                       "user %u needs dockerd-entrypoint.sh or dockerd-rootless.sh on the PATH",
                       f->uid);
    if (f->uid != 0 && !(f->rootlesskit && f->newuidmap))
        return err_set(e, EPERM, "user %u can run an engine with rootlesskit only; missing: %s%s%s",
                       f->uid, f->rootlesskit ? "" : "rootlesskit",
                       f->rootlesskit || f->newuidmap ? "" : ", ", f->newuidmap ? "" : "newuidmap");
    if (f->uid != 0 && !f->rootless_net)
        find(p, LOG_WARN,
             "rootless: none of slirp4netns, pasta and vpnkit is on the PATH, so containers will "
             "have no network");
    if (f->script)
        add_word(p, "dockerd-entrypoint.sh");
    if (f->script || f->uid == 0)
        add_word(p, "dockerd");
    else
        add_word(p, "dockerd-rootless.sh");
    return 0;
}

static void explicit_command(struct planner *p) {
    char **words = p->conf->command;
    size_t at = engine_word(words);
    p->takes_flags = words[at];
    p->script_builds = words[at] && is_called(words[at], "dockerd-entrypoint.sh") &&
                       (!words[at + 1] || words[at + 1][0] == '-');
    for (size_t i = 0; words[i]; i++)
        add_word(p, words[i]);
}

static int plan_command(struct planner *p, struct err *e) {
    int rc = 0;
    if (count(p->conf->command) == 0)
        return err_set(e, ENOENT, "the engine's command is empty");
    if (is_auto(p->conf))
        rc = auto_command(p, e);
    else
        explicit_command(p);
    for (size_t i = 0; p->conf->flags && p->conf->flags[i]; i++)
        add_word(p, p->conf->flags[i]);
    return rc;
}

static const char *default_runtime(char *buf, size_t cap, const struct engine_facts *f) {
    if (f->runtime_dir[0])
        (void)snprintf(buf, cap, "%s", f->runtime_dir);
    else
        (void)snprintf(buf, cap, "/run/user/%u", f->uid);
    return buf;
}

void engine_locate_json(const struct engine_conf *conf, struct engine_facts *f) {
    struct flag_list given;
    user_flags(&given, conf);
    const struct flag *file = flags_find(&given, "config-file");
    size_t cap = sizeof f->json_path;
    if (file && file->value)
        (void)snprintf(f->json_path, cap, "%s", file->value);
    else if (!is_rootless(conf, f, &given))
        (void)snprintf(f->json_path, cap, "/etc/docker/daemon.json");
    else if (f->config_home[0])
        (void)snprintf(f->json_path, cap, "%.220s/docker/daemon.json", f->config_home);
    else
        (void)snprintf(f->json_path, cap, "%.220s/.config/docker/daemon.json", f->home);
}

/* The user's value for a path: flag, then daemon.json, else `fallback`. */
static void locate(char *out, const struct flag_list *given, const struct daemon_json *json,
                   const char *key, const char *fallback) {
    const struct flag *flag = flags_find(given, key);
    const char *value = flag ? flag->value : daemon_json_string(json, key);
    (void)snprintf(out, MAX_ENGINE_PATH, "%s", value && *value ? value : fallback);
}

void engine_locate_state(const struct engine_conf *conf, struct engine_facts *f,
                         struct json_text text) {
    struct flag_list given;
    struct daemon_json json;
    char run[MAX_ENGINE_PATH], data[MAX_ENGINE_PATH + 32] = "/var/lib/docker";
    char exec[MAX_ENGINE_PATH + 32] = "/var/run/docker";
    char pid[MAX_ENGINE_PATH + 32] = "/var/run/docker.pid";
    user_flags(&given, conf);
    if (conf->daemon_json == ENGINE_JSON_OWN)
        text.len = 0;
    (void)daemon_json_parse(&json, "", text, NULL);
    if (is_rootless(conf, f, &given)) {
        (void)default_runtime(run, sizeof run, f);
        (void)snprintf(data, sizeof data, "%s/.local/share/docker", f->home);
        (void)snprintf(exec, sizeof exec, "%s/docker", run);
        (void)snprintf(pid, sizeof pid, "%s/docker.pid", run);
    }
    locate(f->data_root, &given, &json, "data-root", data);
    locate(f->exec_root, &given, &json, "exec-root", exec);
    locate(f->pidfile, &given, &json, "pidfile", pid);
    daemon_json_free(&json);
}

static bool user_set(const struct planner *p, const char *key) {
    return flags_find(&p->given, key) || daemon_json_has(&p->json, key);
}

/* The user's choice for a switch: 1, 0, or -1 if none was made. */
static int user_switch(const struct planner *p, const char *key) {
    const struct flag *f = flags_find(&p->given, key);
    return f ? flag_is_true(f) : daemon_json_bool(&p->json, key);
}

/* Want `key` to be `value` (a word; `quoted` in JSON) unless the user has set it. */
static void want(struct planner *p, const char *key, const char *value, bool quoted) {
    if (user_set(p, key) || p->out->nsettings == MAX_ENGINE_SETTINGS)
        return;
    struct engine_setting *s = &p->out->settings[p->out->nsettings++];
    struct text json = TEXT(s->json);
    (void)snprintf(s->key, sizeof s->key, "%s", key);
    (void)snprintf(s->flag, sizeof s->flag, "--%s=%s", key, value);
    if (quoted)
        text_json(&json, value, strlen(value));
    else
        text_add(&json, "%s", value);
    if (!json.cut && strlen(value) <= MAX_SETTING_VALUE)
        return;
    find(p, LOG_ERROR, "%s: '%.40s...' is too long: left out", key, value);
    p->out->nsettings--;
}

static bool has_cap(const struct engine_facts *f, int cap) { return f->caps >> cap & 1; }

/* Why dockerd cannot make NAT rules here; NULL if it can, as far as one can tell. */
static const char *nat_obstacle(const struct planner *p) {
    const struct engine_facts *f = p->facts;
    const struct flag *flag = flags_find(&p->given, "firewall-backend");
    const char *backend = flag ? flag->value : daemon_json_string(&p->json, "firewall-backend");
    bool uses_nft = backend && strcmp(backend, "nftables") == 0;
    if (f->nf_tables == NF_TABLES_DENIED)
        return "no right to change netfilter (CAP_NET_ADMIN over this network namespace)";
    if (f->nf_tables == NF_TABLES_ABSENT && !f->legacy_tables)
        return "the kernel has neither nf_tables nor legacy iptables";
    if (f->nf_tables != NF_TABLES_USABLE && !has_cap(f, CAP_NET_ADMIN))
        return "no CAP_NET_ADMIN";
    if (uses_nft)
        return f->nft ? NULL : "no nft program on the PATH, which firewall-backend needs";
    return f->iptables ? NULL : "no iptables program on the PATH";
}

static void plan_iptables(struct planner *p) {
    enum engine_iptables mode = p->conf->iptables;
    /* rootlesskit gives dockerd a network namespace of its own, where all is allowed. */
    const char *obstacle = p->out->rootless ? NULL : nat_obstacle(p);
    int users = user_switch(p, "iptables");
    if (obstacle && (users == 1 || mode == ENGINE_IPTABLES_ON))
        find(p, LOG_WARN, "iptables is asked for, but NAT is not possible here: %s", obstacle);
    else if (obstacle && mode == ENGINE_IPTABLES_AUTO)
        find(p, LOG_WARN,
             "NAT is not possible here: %s; iptables is off, and containers reach the network with "
             "--network=host only",
             obstacle);
    if (!obstacle && users == 0 && mode != ENGINE_IPTABLES_OFF)
        find(p, LOG_INFO, "iptables is set to false, though NAT is possible here");
    bool off = mode == ENGINE_IPTABLES_OFF || (mode == ENGINE_IPTABLES_AUTO && obstacle);
    if (!off || users == 1)
        return;
    want(p, "iptables", "false", false);
    want(p, "ip6tables", "false", false);
}

static void plan_storage_auto(struct planner *p) {
    const struct engine_facts *f = p->facts;
    if (f->overlay != OVERLAY_FAILS)
        return;
    const char *driver = f->fuse_overlayfs ? "fuse-overlayfs" : "vfs";
    const char *why = strerror(f->overlay_code);
    if (f->stored_driver[0] && strcmp(f->stored_driver, driver) != 0) {
        find(p, LOG_WARN,
             "overlay does not work on %.100s (%s), but it holds data of %s, so the storage driver "
             "is left alone",
             f->data_root, why, f->stored_driver);
        return;
    }
    if (strcmp(driver, "vfs") == 0)
        find(p, LOG_WARN,
             "overlay does not work on %.100s (%s): vfs copies every layer in full, which costs "
             "much time and disk; mount a volume there, or install fuse-overlayfs",
             f->data_root, why);
    else
        find(p, LOG_INFO, "overlay does not work on %.100s (%s): using fuse-overlayfs",
             f->data_root, why);
    want(p, "storage-driver", driver, true);
}

static void plan_storage(struct planner *p) {
    const char *wanted = p->conf->storage_driver;
    if (user_set(p, "storage-driver"))
        return;
    if (wanted && strcmp(wanted, "auto") != 0)
        want(p, "storage-driver", wanted, true);
    else
        plan_storage_auto(p);
}

/* What the hosts of one place amount to. */
struct hosts {
    bool any, plain_tcp, activated; /* the last: fd://, a socket that is handed over */
    bool unix_default;
    const char *unix_path;
};

static void note_host(struct hosts *h, const char *host) {
    h->any = true;
    if (!host)
        return;
    if (has_prefix(host, "unix://")) {
        h->unix_default |= !host[7];
        if (!h->unix_path && host[7])
            h->unix_path = host + 7;
    } else if (has_prefix(host, "fd://"))
        h->activated = true;
    else if (!has_prefix(host, "npipe://"))
        h->plain_tcp = true; /* a host without a scheme is TCP */
}

static struct hosts flag_hosts(const struct planner *p) {
    struct hosts h = { 0 };
    for (size_t i = 0; i < p->given.n; i++)
        if (strcmp(p->given.v[i].key, "hosts") == 0)
            note_host(&h, p->given.v[i].value);
    return h;
}

static struct hosts file_hosts(const struct planner *p) {
    struct hosts h = { 0 };
    const char *host;
    for (size_t i = 0; (host = daemon_json_item(&p->json, "hosts", i)); i++)
        note_host(&h, host);
    return h;
}

static bool any_tls(const struct planner *p) {
    static const char *const keys[] = { "tls", "tlsverify", "tlscacert", "tlscert", "tlskey" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (user_set(p, keys[i]))
            return true;
    return false;
}

static void plan_socket_path(struct planner *p, const struct hosts *h, const char *fallback) {
    const char *path = h->unix_path ? h->unix_path : fallback;
    if (h->any && !h->unix_path && !h->unix_default && !h->activated)
        path = "";
    int n = snprintf(p->out->socket, sizeof p->out->socket, "%s", path);
    if (n < (int)sizeof p->out->socket)
        return;
    find(p, LOG_ERROR, "the socket %.150s is too long for a unix socket address", path);
    p->out->socket[0] = '\0';
}

static void plan_tls(struct planner *p, bool plain_tcp) {
    /* The script adds a plain TCP host itself when it makes no certificates. */
    bool scripts_own = p->script_builds && !p->facts->tls_certdir;
    if (!p->takes_flags || any_tls(p) || !(plain_tcp || scripts_own))
        return;
    if (p->script_builds && p->facts->tls_certdir)
        return; /* it adds --tlsverify */
    /* Always a flag: it belongs to this start and these hosts, not into a file that
     * outlives them, and clashes with no key, as none of them is set. */
    add_word(p, "--tls=false");
    find(p, LOG_WARN, "the API is on plain TCP: whoever reaches the port is root in this box");
}

static void plan_hosts(struct planner *p) {
    char run[MAX_ENGINE_PATH], fallback[MAX_ENGINE_PATH + 16], word[MAX_ENGINE_PATH + 32];
    struct hosts flags = flag_hosts(p), file = file_hosts(p);
    bool taken = p->facts->host_socket[0] && !p->out->rootless;
    (void)snprintf(fallback, sizeof fallback, "%s/docker.sock",
                   p->out->rootless ? default_runtime(run, sizeof run, p->facts)
                   : taken          ? "/run/pinnace"
                                    : "/var/run");
    if (file.any && (flags.any || p->script_builds))
        find(p, LOG_ERROR, "hosts is both in %.120s and %s: dockerd will refuse to start",
             p->facts->json_path, flags.any ? "a flag" : "added by dockerd-entrypoint.sh");
    bool lacks_unix =
        (flags.any || taken) && !flags.unix_path && !flags.unix_default && !flags.activated;
    if (lacks_unix && p->takes_flags && !p->script_builds && !file.any) {
        (void)snprintf(word, sizeof word, "--host=unix://%s", fallback);
        add_word(p, word);
        flags.any = flags.unix_default = true;
    }
    if (p->script_builds)
        flags.any = flags.unix_default = true;
    bool lost = file.any && !flags.any && !file.unix_path && !file.unix_default && !file.activated;
    if (lost)
        find(p, LOG_WARN,
             "hosts in %.120s has no unix:// socket: neither docker's command line nor the "
             "readiness probe will find the engine; add \"unix://%s\"",
             p->facts->json_path, fallback);
    plan_socket_path(p, flags.any ? &flags : &file, fallback);
    plan_tls(p, flags.plain_tcp || file.plain_tcp);
}

static void as_flags(struct planner *p) {
    for (size_t i = 0; i < p->out->nsettings; i++)
        add_word(p, p->out->settings[i].flag);
    p->out->nsettings = 0;
}

static void settings_lost(struct planner *p) {
    for (size_t i = 0; i < p->out->nsettings; i++)
        find(p, LOG_WARN, "%s cannot be set: %s", p->out->settings[i].flag,
             p->takes_flags ? "daemon.json is not understood"
                            : "the command is not dockerd, and daemon.json cannot be written");
    p->out->nsettings = 0;
}

/* Can daemon.json be written beside the original, and dockerd be told so? */
static bool may_move_json(const struct planner *p) {
    return p->takes_flags && p->facts->run_writable && !p->out->rootless &&
           !flags_find(&p->given, "config-file");
}

static void plan_place(struct planner *p) {
    struct engine_plan *o = p->out;
    bool own = p->conf->daemon_json == ENGINE_JSON_OWN;
    bool file = p->conf->daemon_json != ENGINE_JSON_OFF && (own || o->nsettings > 0);
    o->json_from_scratch = own;
    if (p->json_bad)
        settings_lost(p);
    else if (file && p->facts->json_writable)
        (void)snprintf(o->json_write, sizeof o->json_write, "%s", p->facts->json_path);
    else if (file && may_move_json(p)) {
        (void)snprintf(o->json_write, sizeof o->json_write, "%s", RUN_JSON);
        add_word(p, "--config-file=" RUN_JSON);
        find(p, LOG_INFO, "%.120s cannot be written: using " RUN_JSON, p->facts->json_path);
    } else if (p->takes_flags)
        as_flags(p);
    else
        settings_lost(p);
}

/* Each key that is in both places: dockerd names it too, but dies of it. */
static void find_clashes(struct planner *p) {
    for (size_t i = 0; i < p->given.n; i++) {
        const char *key = p->given.v[i].key;
        bool told = strcmp(key, "hosts") == 0; /* by plan_hosts */
        for (size_t k = 0; k < i; k++)
            told |= strcmp(p->given.v[k].key, key) == 0;
        /* runtimes is the one that dockerd allows in both. */
        if (!told && strcmp(key, "runtimes") != 0 && daemon_json_has(&p->json, key))
            find(p, LOG_ERROR, "%s is both in %.120s and a flag: dockerd will refuse to start", key,
                 p->facts->json_path);
    }
}

static void plan_cgroup(struct planner *p) {
    const struct engine_facts *f = p->facts;
    if (p->conf->cgroup == ENGINE_CGROUP_OFF || p->out->rootless)
        return;
    if (f->cgroup == CGROUP_NONE)
        find(p, LOG_WARN,
             "no cgroup file system on /sys/fs/cgroup: dockerd will not start without");
    if (f->cgroup != CGROUP_UNIFIED)
        return;
    if (!f->cgroup_own_root) {
        find(p, LOG_WARN,
             "/sys/fs/cgroup shows a tree that is not ours alone (no cgroup namespace of our own): "
             "left as it is, so limits of nested containers may not work");
        return;
    }
    bool remount = !f->cgroup_writable && f->cgroup_read_only && has_cap(f, CAP_SYS_ADMIN);
    if (!f->cgroup_writable && !remount) {
        find(p, LOG_WARN, "/sys/fs/cgroup %s: nested containers cannot have limits",
             f->cgroup_read_only ? "is read-only" : "belongs to somebody else");
        return;
    }
    p->out->cgroup_remount = remount;
    p->out->cgroup_evacuate = true;
}

static void plan_mounts(struct planner *p) {
    bool may = has_cap(p->facts, CAP_SYS_ADMIN) && p->facts->uid == 0;
    if (!p->out->rootless && !may)
        find(p, LOG_WARN, "no CAP_SYS_ADMIN: dockerd needs a privileged box, or a rootless engine");
    p->out->share_root = may && !p->out->rootless;
    p->out->mount_securityfs = may && !p->out->rootless;
    p->out->tmpfs_tmp = p->conf->tmpfs_tmp;
}

static void find_surroundings(struct planner *p) {
    const struct engine_facts *f = p->facts;
    if (f->host_socket[0])
        find(p, LOG_WARN,
             "%s is mounted from outside: that is not a sandbox, whoever uses it is root outside",
             f->host_socket);
    if (f->gvisor)
        find(p, LOG_INFO,
             "this is gVisor: docker needs runsc's --net-raw and a storage driver other than "
             "overlay2");
    if (f->firecracker)
        find(p, LOG_INFO, "this is a Firecracker microVM");
    if (f->sysbox)
        find(p, LOG_INFO, "this is a Sysbox container");
    if (f->kubernetes)
        find(p, LOG_INFO, "this is a Kubernetes pod");
    if (f->dagger)
        find(p, LOG_INFO, "this runs inside Dagger");
    if (!f->userns_initial && f->uid == 0)
        find(p, LOG_INFO, "root is mapped: we are inside a user namespace");
    if (f->pidfile_exists)
        find(p, LOG_DEBUG, "%.150s is left from an earlier run, or an engine is running",
             f->pidfile);
}

static void read_json(struct planner *p, struct json_text text) {
    const struct engine_facts *f = p->facts;
    struct err why = { 0 };
    if (p->conf->daemon_json == ENGINE_JSON_OWN)
        return;
    if (f->json_error)
        (void)err_sys(&why, f->json_error, "%s cannot be read", f->json_path);
    else if (daemon_json_parse(&p->json, f->json_path, text, &why) == 0)
        return;
    p->json_bad = true;
    find(p, LOG_ERROR, "%.280s (left alone)", why.text);
}

int engine_plan(struct engine_plan *out, const struct engine_conf *conf,
                const struct engine_facts *facts, struct json_text json, struct err *e) {
    struct planner p = { .conf = conf, .facts = facts, .out = out };
    memset(out, 0, sizeof *out);
    user_flags(&p.given, conf);
    out->rootless = is_rootless(conf, facts, &p.given);
    int rc = plan_command(&p, e);
    if (rc < 0)
        return rc;
    read_json(&p, json);
    find_surroundings(&p);
    find_clashes(&p);
    plan_hosts(&p);
    plan_iptables(&p);
    plan_storage(&p);
    plan_place(&p);
    plan_cgroup(&p);
    plan_mounts(&p);
    daemon_json_free(&p.json);
    if (p.too_long)
        return err_set(e, E2BIG, "the engine's command is longer than %d words or %d bytes",
                       MAX_ENGINE_WORDS, MAX_ENGINE_TEXT);
    return 0;
}
