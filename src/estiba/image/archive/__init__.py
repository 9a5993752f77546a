"""Images as files: archives and layout directories, of Docker's and of OCI's form, in and out."""
