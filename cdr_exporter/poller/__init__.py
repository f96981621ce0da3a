"""One PBX's thread: poll, publish, wait, and start again after trouble.

supervisor   the thread, from the start of the program to its end; restarts a poller that fails
poller       the loop: follow the table, publish what came of it, wait
backoff      how long to wait before the next poll
board        the newest snapshot of every PBX, for the web server's threads
"""
