"""One PBX's thread: poll, publish, wait, and start again after a failure.

supervisor   the thread, from the start of the program to its end; restarts a poller that fails
poller       the loop: read the table, publish the result, wait
backoff      how long to wait before the next poll
board        the newest snapshot of every PBX, for the threads of the web server
"""
