/* network.h — lo, and the links that the kernel's command line names. */
#ifndef MACHINE_NETWORK_H
#define MACHINE_NETWORK_H

/* Bring up lo, and for each ip= of `line` its link, address, default route, host name and
 * resolvers. A link that is not there yet is waited for (5 s). What the kernel has done itself
 * already (CONFIG_IP_PNP) stays. What fails is logged. */
void network_up(const char *line);

#endif
