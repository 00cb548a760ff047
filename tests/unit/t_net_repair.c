/* What prepare and repair do to a real network namespace, and that it is taken back.
 *
 * eth0 is one end of a pair of veth; resolv.conf is a file of this test's, mounted over the real
 * one in a mount namespace of its own. */
#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/own.h"
#include "net/prepare.h"
#include "net/repair.h"
#include "net/role.h"
#include "net/survey.h"
#include "svc/wire.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define PLAIN "search a.test\nnameserver 10.87.0.1\noptions ndots:2\n"

static struct net_facts facts;
static struct net_conf conf;
static struct net_box box;
static struct net_plan plan;
static struct repair repair;
static struct findings told;
static int logged = -1; /* a file */
static char file[] = "/tmp/t_net_repair-XXXXXX";

/* --- the world ---------------------------------------------------------------------------- */

static void write_resolv(const char *text) {
    AUTO_FD int fd = open(RESOLV_CONF, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        OK(false, RESOLV_CONF " can be written");
}

static bool resolv_is(const char *text) {
    size_t len;
    AUTO_FREE char *now = net_read_resolv(&len, NULL);
    bool same = now && strcmp(now, text) == 0;
    if (!same)
        (void)printf("# resolv.conf: %.300s\n", now ? now : "");
    return same;
}

static bool resolv_is_ours(void) {
    size_t len;
    AUTO_FREE char *now = net_read_resolv(&len, NULL);
    struct resolv r;
    resolv_parse(&r, now ? now : "", len);
    return r.ours;
}

static const char *make_world(void) {
    if (geteuid() != 0)
        return "needs root";
    if (system("PATH=$PATH:/usr/sbin:/sbin ip -V >/dev/null 2>&1") != 0)
        return "no ip(8)";
    AUTO_FD int fd = mkostemp(file, O_CLOEXEC);
    AUTO_FD int net = netns_new();
    if (fd < 0 || net < 0 || unshare(CLONE_NEWNS) < 0 || fchmod(fd, 0644) < 0)
        return "no namespaces";
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(file, RESOLV_CONF, NULL, MS_BIND, NULL) < 0)
        return "no mounts";
    if (access("/proc/sys/net/ipv4/conf/lo/accept_local", W_OK) < 0)
        return "no sysctls";
    return RUN("ip link set lo up; ip link add eth0 type veth peer name other && "
               "ip link set other up && ip link set eth0 up")
               ? ""
               : "no veth";
}

static void look(void) {
    if (!OK(net_survey(&facts, NULL) == 0, "the network is looked at"))
        exit(1);
}

/* One settlement of role net. */
static int settle(void) {
    look();
    net_plan(&plan, &facts, &conf, &box);
    return repair_apply(&repair, &plan, &facts, &box);
}

static size_t told_bytes(void) {
    struct stat st;
    return fstat(logged, &st) == 0 ? (size_t)st.st_size : 0;
}

/* A usual box with these addresses. */
static void begin(const char *address, const char *route, const char *resolv) {
    memset(&conf, 0, sizeof conf);
    memset(&repair, 0, sizeof repair);
    told.n = 0;
    conf.repair = conf.engine = true;
    OK(RUN("ip addr flush dev eth0; ip addr flush dev lo scope link; ip link del br0 2>/dev/null; "
           "ip addr add %s dev eth0 && ip route replace default %s dev eth0 && "
           "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter && "
           "echo 1 >/proc/sys/net/ipv4/conf/eth0/rp_filter && "
           "echo 0 >/proc/sys/net/ipv4/conf/eth0/accept_local",
           address, route),
       "a box with %s", address);
    write_resolv(resolv);
    look();
    net_choose(&box, &facts, &conf, &told);
    box.port = NET_FORWARDER_PORT;
    (void)snprintf(box.tuned, sizeof box.tuned, "eth0");
    box.accept_local_was = 0;
    box.rp_filter_was = 1;
}

static bool has_route(const char *what) {
    return RUN("ip route show table main | sed 's/ *$//' | grep -q '^%s'", what);
}

static bool lacks_route(const char *what) {
    return RUN("! ip route show table main | grep -q '^%s'", what);
}

static bool sysctls_are(int accept_local, int rp_filter) {
    return net_sysctl("ipv4", "eth0", "accept_local") == accept_local &&
           net_sysctl("ipv4", "eth0", "rp_filter") == rp_filter;
}

/* --- tests -------------------------------------------------------------------------------- */

static void applies_and_undoes(void) {
    char before[4096], after[4096];
    begin("10.87.0.5/24", "via 10.87.0.1", PLAIN);
    (void)run_into(before, sizeof before, "ip addr; ip route; ip -6 route");
    OK(settle() == 0, "a plan is brought about");
    OK(resolv_is_ours() && RUN("ip addr show dev lo | grep -q 169.254.53.53/32"),
       "address and resolv.conf");
    OK(!box.nft || nft_check(&plan.rules, NULL) == 1, "and rules");
    size_t said = told_bytes();
    OK(settle() == 0 && said == told_bytes(), "again: nothing is done, nothing said");
    look();
    repair_undo(&facts, &box);
    (void)run_into(after, sizeof after, "ip addr; ip route; ip -6 route");
    OK(strcmp(before, after) == 0 && resolv_is(PLAIN), "taken back, all is as it was");
    OK(!box.nft || RUN("! nft list tables 2>/dev/null | grep -q pinnace"), "no table is left");
}

static void survives_a_bridge(const char *bridge, bool narrows) {
    begin("10.87.0.5/24", "via 10.87.0.1", PLAIN);
    OK(settle() == 0 && sysctls_are(0, 1), "nothing collides");
    OK(RUN("ip link add br0 type bridge && ip link set br0 up && ip addr add %s dev br0", bridge),
       "a bridge takes %s", bridge);
    OK(settle() == 0, "and is lived with");
    OK(narrows ? lacks_route("10.87.0.0/24 dev eth0") : has_route("10.87.0.0/24 dev eth0"),
       "the uplink is narrowed if it has to be");
    OK(has_route("10.87.0.1 dev eth0") && sysctls_are(1, 2), "a host route, and sysctls");
    size_t said = told_bytes();
    OK(settle() == 0 && said == told_bytes(), "again: nothing is done, nothing said");
    OK(RUN("ip link del br0") && settle() == 0, "the bridge goes");
    OK(has_route("10.87.0.0/24 dev eth0") && lacks_route("10.87.0.1 dev eth0"),
       "the routes are as they were");
    OK(sysctls_are(0, 1), "and so are the sysctls");
    look();
    repair_undo(&facts, &box);
}

/* No gateway, and the resolver is elsewhere: no host route tells that a route is missing. */
static void narrows_without_pins(void) {
    begin("10.87.0.5/24", "", "nameserver 10.9.9.9\n");
    OK(RUN("ip link add br0 type bridge && ip link set br0 up && ip addr add 10.87.0.9/24 dev br0"),
       "a bridge takes a network without a gateway");
    OK(settle() == 0 && lacks_route("10.87.0.0/24 dev eth0"), "it is taken off the uplink");
    OK(RUN("ip link del br0") && settle() == 0 && has_route("10.87.0.0/24 dev eth0"),
       "and put back");
    look();
    repair_undo(&facts, &box);
    OK(RUN("! ip route show table all | grep -q 'proto 153'"), "no route of ours is left");
}

static void leaves_resolv_alone(void) {
    begin("10.87.0.5/24", "via 10.87.0.1", PLAIN);
    OK(settle() == 0 && resolv_is_ours(), "ours at first");
    write_resolv("");
    OK(settle() == 0 && resolv_is(""), "while somebody writes it, it is left alone");
    write_resolv("nameserver 10.87.0.2\n");
    OK(settle() == 0 && resolv_is_ours(), "what has been written is taken");
    look();
    repair_undo(&facts, &box);
    OK(resolv_is("nameserver 10.87.0.2\n"), "and given back");

    AUTO_FREE char *large = calloc(1, MAX_RESOLV_CONF);
    for (size_t n = 0; large && n + 32 < MAX_RESOLV_CONF; n += strlen(large + n))
        (void)strcpy(large + n, "nameserver 1.1.1.1\n");
    begin("10.87.0.5/24", "via 10.87.0.1", large ? large : "");
    OK(settle() == -EFBIG && resolv_is(large), "what would be too large to be read again is left");
    size_t said = told_bytes();
    OK(settle() == -EFBIG && said == told_bytes(), "which is said once");
    look();
    repair_undo(&facts, &box);
}

static void cannot_write(void) {
    begin("10.87.0.5/24", "via 10.87.0.1", PLAIN);
    OK(mount(NULL, RESOLV_CONF, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0, "read-only");
    size_t said = told_bytes();
    OK(settle() == -EROFS && told_bytes() > said, "a failure is told");
    said = told_bytes();
    OK(settle() == -EROFS && told_bytes() == said, "once");
    OK(mount(NULL, RESOLV_CONF, NULL, MS_BIND | MS_REMOUNT, NULL) == 0 && settle() == 0 &&
           resolv_is_ours(),
       "and tried again");
    look();
    OK(facts.resolv_writable, "it can be written");
    repair_undo(&facts, &box);
}

/* In a child of its own: what it gives up does not come back. 0: as it should be. */
static bool in_child(int (*run)(void)) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(run());
    int status = -1;
    bool ended = waitpid(pid, &status, 0) == pid && WIFEXITED(status);
    if (ended && WEXITSTATUS(status))
        (void)printf("# the child's answer is %d\n", WEXITSTATUS(status));
    return ended && WEXITSTATUS(status) == 0;
}

static int without_rights(void) {
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    (void)net_survey(&facts, NULL);
    net_plan(&plan, &facts, &conf, &box);
    if (syscall(SYS_capget, &head, data) < 0)
        return 1;
    data[0].effective &= ~(1U << CAP_NET_ADMIN);
    if (syscall(SYS_capset, &head, data) < 0)
        return 2;
    if (repair_apply(&repair, &plan, &facts, &box) != -EPERM || !repair.failed[ACT_ADDRESS])
        return 3;
    return resolv_is(PLAIN) ? 0 : 4;
}

static bool tell_kernel(const char *path, const char *text) {
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool become_its_root(void) {
    return unshare(CLONE_NEWUSER) == 0 && tell_kernel("/proc/self/setgroups", "deny") &&
           tell_kernel("/proc/self/uid_map", "0 0 1") && tell_kernel("/proc/self/gid_map", "0 0 1");
}

/* root of a user namespace, with all capabilities, that does not own the network. */
static int in_foreign_network(void) {
    static struct net_advice advice;
    int sockets[NET_NSOCKETS];
    struct err e = { 0 };
    if (!become_its_root())
        return 10;
    if (net_prepare(&conf, &box, sockets, &advice, &e) < 0)
        return 1;
    if (!resolv_is(PLAIN))
        return 2;
    if (box.on_lo || box.nft || box.resolv)
        return 3;
    return box.active && sockets[NET_UDP4] < 0 ? 4 : 0;
}

static void knows_its_limits(void) {
    begin("10.87.0.5/24", "via 10.87.0.1", PLAIN);
    OK(in_child(without_rights), "resolv.conf does not name an address that cannot be had");
    write_resolv(PLAIN);
    OK(RUN("echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start"), "as containers have it");
    OK(in_child(in_foreign_network), "nor in a user namespace that does not own the network");
    write_resolv(PLAIN);
}

static void prepares(void) {
    static struct net_advice advice;
    int sockets[NET_NSOCKETS];
    struct err e = { 0 };
    begin("10.87.0.5/24", "via 10.87.0.1", PLAIN);
    OK(net_prepare(&conf, &box, sockets, &advice, &e) == 0 && box.active && resolv_is_ours(),
       "prepare does all of it");
    OK(sockets[NET_UDP4] >= 0 && sockets[NET_TCP4] >= 0 && sockets[NET_UDP6] < 0 &&
           box.port >= NET_FORWARDER_PORT && strcmp(box.tuned, "eth0") == 0,
       "and listens");
    struct net_box second;
    int none[NET_NSOCKETS];
    for (int i = 0; i < NET_NSOCKETS; i++)
        fd_close(&sockets[i]);
    conf.mode = NET_OFF;
    OK(net_prepare(&conf, &second, none, &advice, &e) == 0 && !second.active && resolv_is(PLAIN) &&
           RUN("! ip addr show dev lo | grep -q 169.254.53.53"),
       "one that wants nothing takes back what a killed one has left");
}

/* As gVisor does: no multicast groups of netlink. */
static bool refuse_groups(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_NETLINK, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_ADD_MEMBERSHIP, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static pid_t start_role(const int sockets[NET_NSOCKETS], int pair[2], bool deaf) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -1;
    pid_t pid = fork();
    if (pid != 0) {
        fd_close(&pair[1]);
        return pid;
    }
    fd_close(&pair[0]);
    struct net_role role = { .sock = pair[1], .conf = &conf, .box = &box };
    memcpy(role.sockets, sockets, sizeof role.sockets);
    _exit(deaf && !refuse_groups() ? 99 : net_role_run(&role));
}

/* A query for the forwarder's own counts, which it answers by itself. The socket. */
static int asks(void) {
    static const uint8_t query[] = "\1\2\1\0\0\1\0\0\0\0\0\0\5stats\7pinnace\0\0\x10\0\3";
    struct sockaddr_storage to;
    socklen_t len = ip_to_sockaddr(&box.vip, box.port, &to);
    AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, len) < 0 || send(fd, query, sizeof query - 1, 0) < 0)
        return -1;
    return fd_take(&fd);
}

static bool is_answered(int fd) {
    uint8_t reply[512];
    return is_readable(fd, 5000) && recv(fd, reply, sizeof reply, 0) > 12 && reply[0] == 1 &&
           reply[1] == 2;
}

/* How often resolv.conf is ours again within so many ms, with somebody who always undoes it. */
static int fights(int ms) {
    instant end = instant_add(instant_now(), span_ms(ms));
    int won = 0;
    while (instant_before(instant_now(), end)) {
        size_t len;
        AUTO_FREE char *now = net_read_resolv(&len, NULL);
        struct resolv r;
        resolv_parse(&r, now ? now : "", len);
        if (r.ours) {
            write_resolv(PLAIN);
            won++;
        }
        (void)poll(NULL, 0, 2);
    }
    return won;
}

static int status_of(pid_t pid) {
    int status = -1;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void runs_the_role(bool deaf) {
    static struct net_advice advice;
    struct wire_word quit = { .head = WIRE_HEAD(WIRE_QUIT, struct wire_word) };
    int sockets[NET_NSOCKETS], pair[2];
    struct err e = { 0 };
    begin("10.87.0.5/24", "via 10.87.0.1", PLAIN);
    OK(net_prepare(&conf, &box, sockets, &advice, &e) == 0 && box.active, "prepared");
    AUTO_FD int early = asks();
    pid_t pid = start_role(sockets, pair, deaf);
    OK(pid > 0 && is_answered(early), "what had been asked before role net came is answered%s",
       deaf ? ", though it hears of nothing" : "");
    AUTO_FD int late = asks();
    OK(is_answered(late), "and what is asked then");
    struct net_box second;
    int none[NET_NSOCKETS];
    OK(net_prepare(&conf, &second, none, &advice, &e) == 0 && !second.active &&
           ip_equal(&advice.dns[0], &box.vip) && none[NET_UDP4] < 0 && resolv_is_ours(),
       "a second one in the same network leaves it to the first");
    if (!deaf) {
        int fast = fights(1000), slow = fights(6000);
        OK(fast > 5 && slow < 3 * fast, "it slows down against somebody who undoes it: %d, then %d",
           fast, slow);
        AUTO_FD int still = asks();
        OK(is_answered(still), "and goes on answering");
    }
    OK(wire_send(pair[0], &quit.head) == 0 && status_of(pid) == 0, "and ends when it is told to");
    OK(resolv_is(PLAIN), "resolv.conf is as it was");
    fd_close(&pair[0]);
    for (int i = 0; i < NET_NSOCKETS; i++)
        fd_close(&sockets[i]);
}

int main(void) {
    const char *why_not = make_world();
    logged = memfd_create("log", MFD_CLOEXEC);
    log_init(logged, LOG_TEXT, LOG_INFO);
    if (*why_not) {
        OK(true, "with a network # SKIP %s", why_not);
    } else {
        applies_and_undoes();
        survives_a_bridge("10.87.0.1/24", true);
        survives_a_bridge("10.87.0.1/28", false);
        narrows_without_pins();
        leaves_resolv_alone();
        cannot_write();
        knows_its_limits();
        prepares();
        runs_the_role(false);
        runs_the_role(true);
    }
    (void)unlink(file);
    log_init(-1, LOG_TEXT, LOG_ERROR);
    fd_close(&logged);
    return tap_end();
}
