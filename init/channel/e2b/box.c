/* box.c — the box over plain HTTP: its health, its use of resources, and its settings. */
#include <errno.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "channel/e2b/e2b.h"
#include "channel/e2b/proto.h"
#include "channel/gate.h"
#include "sys/file.h"

/* What E2B's SDKs compare with the versions that brought something; all of 0.6 is there. */
#define ENVD_VERSION "0.6.13"

#define OWN_ENV "E2B_SANDBOX" /* "true" in every command (events.c), whatever POST /init says */

void e2b_state_init(struct channel *ch) {
    struct e2b_state *s = &ch->e2b;
    const struct passwd *pw = getpwuid(geteuid());
    s->memory = &ch->role->shared->e2b;
    list_init(&s->watchers);
    if (pw && strlen(pw->pw_name) < sizeof s->own_user)
        (void)strcpy(s->own_user, pw->pw_name);
}

static const struct e2b_settings *settings_of(const struct http_exchange *x) {
    return e2b_settings_in(channel_of(x)->e2b.memory);
}

static void answer(struct http_exchange *x, const struct text *t) {
    http_add_field(x, "Cache-Control", "no-store");
    if (t->cut)
        e2b_http_fail(x, 500, "the document is too long");
    else
        http_answer(x, 200, "application/json", t->buf, t->len);
}

void e2b_health(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    http_add_field(x, "Cache-Control", "no-store");
    http_answer(x, 204, NULL, NULL, 0);
}

void e2b_envs(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    const struct e2b_settings *s = settings_of(x);
    size_t cap = 6 * E2B_ENV_BYTES + 64; /* \u001b is the longest */
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf) {
        e2b_http_fail(x, 500, "out of memory");
        return;
    }
    text_add(&t, "{\"" OWN_ENV "\":\"true\"");
    for (const char *p = s->env; p < s->env + s->env_len; p += strlen(p) + 1) {
        const char *equals = strchr(p, '=');
        text_add(&t, ",");
        text_json(&t, p, (size_t)(equals - p));
        text_add(&t, ":");
        text_json(&t, equals + 1, strlen(equals + 1));
    }
    text_add(&t, "}");
    answer(x, &t);
}

/* --- GET /metrics ----------------------------------------------------------------------------- */

#define CGROUP "/sys/fs/cgroup/"

/* The number behind `key` in a file of such lines, or the first one; -1: none. */
static int64_t number_in(const char *path, const char *key) {
    char text[8192];
    file_peek(path, text, sizeof text);
    const char *at = key ? strstr(text, key) : text;
    if (!at)
        return -1;
    at += key ? strlen(key) : 0;
    at += strspn(at, " \t:");
    return *at >= '0' && *at <= '9' ? strtoll(at, NULL, 10) : -1;
}

/* As many as may be used: by affinity, and by the quota of the box's cgroup. */
static int64_t cpu_count(void) {
    cpu_set_t set;
    char text[64], *period;
    int64_t n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    file_peek(CGROUP "cpu.max", text, sizeof text);
    int64_t quota = strtoll(text, &period, 10), per = strtoll(period, NULL, 10);
    if (quota > 0 && per > 0 && (quota + per - 1) / per < n)
        n = (quota + per - 1) / per;
    return n > 0 ? n : 1;
}

/* Microseconds used, and those that could have been. Where there is no cgroup, of the machine. */
static void cpu_now(const struct channel *ch, uint64_t *busy, uint64_t *all) {
    int64_t used = number_in(CGROUP "cpu.stat", "usage_usec");
    if (used >= 0) {
        *busy = (uint64_t)used;
        *all = (uint64_t)(ch->loop.now.ns / 1000) * (uint64_t)cpu_count();
        return;
    }
    char text[1024], *at = text + 4;
    *busy = *all = 0;
    file_peek("/proc/stat", text, sizeof text);
    for (int i = 0; i < 8 && strncmp(text, "cpu ", 4) == 0; i++) {
        uint64_t ticks = strtoull(at, &at, 10);
        *all += ticks;
        *busy += i == 3 || i == 4 ? 0 : ticks; /* idle, iowait (proc_stat(5)) */
    }
}

static double cpu_percent(struct channel *ch) {
    struct e2b_state *s = &ch->e2b;
    uint64_t busy, all;
    cpu_now(ch, &busy, &all);
    uint64_t used = busy - s->cpu_busy, could = all - s->cpu_all;
    bool sane = busy >= s->cpu_busy && all > s->cpu_all;
    s->cpu_busy = busy;
    s->cpu_all = all;
    double percent = sane ? 100.0 * (double)used / (double)could : 0;
    return percent > 100 ? 100 : percent;
}

struct memory {
    int64_t total, used, cache; /* bytes */
};

/* Of the box's cgroup, where that has a limit below the machine's. */
static struct memory memory_now(void) {
    static const char meminfo[] = "/proc/meminfo";
    struct memory m = { number_in(meminfo, "MemTotal") * 1024, 0,
                        number_in(meminfo, "\nCached") * 1024 };
    int64_t limit = number_in(CGROUP "memory.max", NULL);
    int64_t used = number_in(CGROUP "memory.current", NULL);
    if (used >= 0) {
        m.cache = number_in(CGROUP "memory.stat", "\nfile ");
        m.cache = m.cache > 0 ? m.cache : 0;
        m.used = used > m.cache ? used - m.cache : 0;
        m.total = limit > 0 && limit < m.total ? limit : m.total;
    } else {
        m.used = m.total - number_in(meminfo, "MemAvailable") * 1024;
    }
    return m;
}

void e2b_metrics(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[512];
    struct text t = TEXT(buf);
    struct memory m = memory_now();
    struct statvfs disk = { 0 };
    (void)statvfs("/", &disk);
    uint64_t block = disk.f_frsize, total = block * disk.f_blocks;
    double percent = cpu_percent(channel_of(x));
    text_add(&t,
             "{\"ts\":%lld,\"cpu_count\":%lld,\"cpu_used_pct\":%.2f,\"mem_total_mib\":%lld,"
             "\"mem_used_mib\":%lld,\"mem_total\":%lld,\"mem_used\":%lld,\"mem_cache\":%lld,"
             "\"disk_used\":%llu,\"disk_total\":%llu}",
             (long long)time(NULL), (long long)cpu_count(), percent, (long long)(m.total >> 20),
             (long long)(m.used >> 20), (long long)m.total, (long long)m.used, (long long)m.cache,
             (unsigned long long)(total - block * disk.f_bfree), (unsigned long long)total);
    answer(x, &t);
}

/* --- POST /init ------------------------------------------------------------------------------- */

/* Who may: where a token is in force, whoever brings the same one. NULL: go on. */
static const char *token_fault(const struct http_exchange *x, const char *brought) {
    const char *token = e2b_token(x);
    if (!token || e2b_shows_token(x))
        return NULL;
    if (!brought || !*brought)
        return "access token reset not authorized";
    return gate_same(token, brought, strlen(brought)) ? NULL : "access token validation failed";
}

/* Not later than the last one that was applied? */
static bool is_stale(const struct e2b_settings *s, int64_t at_s, int32_t at_ns) {
    return s->timed && (at_s < s->at_s || (at_s == s->at_s && at_ns <= s->at_ns));
}

static int take_timestamp(struct proto *p, yyjson_val *body, struct e2b_settings *s, bool *stale) {
    const char *text = proto_text(p, body, "timestamp");
    int64_t at_s;
    int32_t at_ns;
    *stale = false;
    if (p->err.code || !text)
        return -p->err.code;
    if (!rfc3339_parse(text, &at_s, &at_ns))
        return err_set(&p->err, EINVAL, "timestamp: RFC 3339 is needed");
    *stale = is_stale(s, at_s, at_ns);
    s->timed = true;
    s->at_s = at_s;
    s->at_ns = at_ns;
    return 0;
}

/* All variables of an earlier request go. */
static int take_envs(struct proto *p, yyjson_val *body, struct e2b_settings *s) {
    yyjson_val *envs = proto_message(p, body, "envVars"), *key, *value;
    size_t i, n;
    if (p->err.code || !envs)
        return -p->err.code;
    s->env_len = 0;
    yyjson_obj_foreach(envs, i, n, key, value) {
        const char *name = yyjson_get_str(key), *text = yyjson_get_str(value);
        bool whole =
            text && strlen(name) == yyjson_get_len(key) && strlen(text) == yyjson_get_len(value);
        if (yyjson_equals_str(key, OWN_ENV)) /* the sandbox's own one stays as it is */
            continue;
        if (!whole || !e2b_settings_put_env(s, name, text))
            return err_set(&p->err, EINVAL,
                           "envVars: '%.60s' is no name, has no text, or there are more than %d "
                           "bytes in all",
                           name, E2B_ENV_BYTES);
    }
    return 0;
}

/* Kept when absent; too long is refused. */
static int take_text(struct proto *p, yyjson_val *body, const char *name, char *out, size_t cap) {
    const char *text = proto_text(p, body, name);
    if (text && strlen(text) >= cap)
        return err_set(&p->err, EINVAL, "%s: longer than %zu bytes", name, cap - 1);
    if (text)
        (void)strcpy(out, text);
    return -p->err.code;
}

/* What belongs to the virtual machine that E2B's agent is alone in, and is not ours to change: the
 * clock, mounts, the trust store. */
static void warn_of_others(yyjson_val *body) {
    static const char *const names[] = { "hyperloopIP", "volumeMounts", "caBundle" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (proto_get(body, names[i]))
            log_warn("channel",
                     "POST /init: %s is not acted on: it is the image's or the host's to "
                     "set up",
                     names[i]);
}

static int take_settings(struct proto *p, yyjson_val *body, struct e2b_settings *s, bool *stale) {
    int rc = take_timestamp(p, body, s, stale);
    if (rc == 0)
        rc = take_envs(p, body, s);
    if (rc == 0)
        rc = take_text(p, body, "accessToken", s->token, sizeof s->token);
    if (rc == 0)
        rc = take_text(p, body, "defaultUser", s->user, sizeof s->user);
    if (rc == 0)
        rc = take_text(p, body, "defaultWorkdir", s->workdir, sizeof s->workdir);
    return rc;
}

void e2b_init(struct http_exchange *x, yyjson_val *body) {
    struct e2b_memory *m = channel_of(x)->e2b.memory;
    struct proto p = { 0 };
    bool stale = false;
    if (body && !yyjson_is_obj(body)) {
        e2b_http_fail(x, 400, "a JSON object is needed");
        return;
    }
    const char *brought = proto_text(&p, body, "accessToken");
    const char *fault = p.err.code ? NULL : token_fault(x, brought);
    if (fault) {
        http_answer(x, 401, "text/plain; charset=utf-8", fault, strlen(fault));
        return;
    }
    if (p.err.code || take_settings(&p, body, e2b_settings_draft(m), &stale) < 0) {
        e2b_http_fail(x, 400, "%s", p.err.text);
        return;
    }
    if (!stale) {
        e2b_settings_apply(m);
        warn_of_others(body);
    }
    http_add_field(x, "X-Envd-Version", ENVD_VERSION);
    http_add_field(x, "Cache-Control", "no-store");
    http_answer(x, 204, NULL, NULL, 0);
}
