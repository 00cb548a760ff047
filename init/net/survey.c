#include "net/survey.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/file.h"

/* capget(2) by itself: libc has no wrapper, and the whole of libcap is not needed. */
static bool has_net_admin(void) {
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    memset(data, 0, sizeof data);
    return syscall(SYS_capget, &head, data) == 0 && (data[0].effective >> CAP_NET_ADMIN & 1);
}

static void sysctl_dir(char dir[96], const char *family, const char *link) {
    (void)snprintf(dir, 96, "/proc/sys/net/%.4s/conf/%.16s", family, link);
}

int net_sysctl(const char *family, const char *link, const char *key) {
    char dir[96], path[160], text[16];
    sysctl_dir(dir, family, link);
    (void)snprintf(path, sizeof path, "%s/%.40s", dir, key);
    file_peek(path, text, sizeof text);
    char *end;
    long value = strtol(text, &end, 10);
    return end == text ? -1 : (int)value;
}

int net_sysctl_set(const char *family, const char *link, const char *key, int value) {
    char dir[96], text[16];
    sysctl_dir(dir, family, link);
    (void)snprintf(text, sizeof text, "%d", value);
    return file_poke(dir, key, text);
}

/* What counts is the larger one of a link's value and that of all. */
static int in_force(const char *link, const char *key) {
    int own = net_sysctl("ipv4", link, key), all = net_sysctl("ipv4", "all", key);
    return own < 0 || all < own ? own : all;
}

char *net_read_resolv(size_t *len, int *code) {
    char *text = NULL;
    int rc = file_read(RESOLV_CONF, MAX_RESOLV_CONF, &text, len, NULL);
    if (code)
        *code = rc < 0 ? -rc : 0;
    if (rc == 0)
        return text;
    *len = 0;
    return calloc(1, 1);
}

static void look_at_resolv(struct net_facts *out) {
    size_t len;
    char *text = net_read_resolv(&len, &out->resolv_error);
    if (text)
        resolv_parse(&out->resolv, text, len);
    else
        out->resolv_error = ENOMEM;
    free(text);
    out->resolv_writable = !out->resolv_error && file_is_replaceable(RESOLV_CONF);
}

int net_survey(struct net_facts *out, struct err *e) {
    memset(out, 0, sizeof *out);
    out->accept_local = out->rp_filter = -1;
    int rc = rtnl_snapshot(&out->table, e);
    if (rc < 0)
        return rc;
    look_at_resolv(out);
    out->admin = has_net_admin();
    out->nft = nft_probe();
    out->sysctl_writable = access("/proc/sys/net/ipv4/conf/all/accept_local", W_OK) == 0;
    out->ipv6_off = net_sysctl("ipv6", "lo", "disable_ipv6");
    const struct rtnl_link *uplink = net_uplink(&out->table);
    if (uplink) {
        out->accept_local = in_force(uplink->name, "accept_local");
        out->rp_filter = in_force(uplink->name, "rp_filter");
    }
    return 0;
}
