#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "http/conn.h"

uint32_t http_round_trip(const struct http_exchange *x) {
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;
    if (getsockopt(x->conn->source.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return 0;
    return info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt; /* which says the same */
}
