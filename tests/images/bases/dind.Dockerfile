# In place of docker:dind, which cannot be pulled here: the same paths, variables and entry point.
ARG ROOTFS
FROM ${ROOTFS}
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DOCKER_TLS_CERTDIR=/certs
RUN mkdir /certs /certs/client && chmod 1777 /certs /certs/client
COPY dockerd-entrypoint.sh /usr/local/bin/
VOLUME /var/lib/docker
EXPOSE 2375/tcp 2376/tcp
ENTRYPOINT ["dockerd-entrypoint.sh"]
CMD []
