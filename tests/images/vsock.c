/* vsock.c — print what the first peer says to a port of this machine: vsock PORT. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

int main(int argc, char **argv) {
    struct sockaddr_vm at = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
    char buf[512];
    ssize_t n;
    if (argc != 2)
        return 2;
    at.svm_port = (unsigned)strtoul(argv[1], NULL, 10);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1) < 0) {
        perror("vsock");
        return 1;
    }
    puts("listening");
    fflush(stdout);
    int peer = accept(fd, NULL, NULL);
    while ((n = read(peer, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    puts(" was said");
    return 0;
}
