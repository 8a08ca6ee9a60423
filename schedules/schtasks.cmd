rem Runs the pipeline every Monday at 3:00, with Windows' Task Scheduler. To add it, run this file once.
rem If the previous run is still active, Task Scheduler skips this one.
rem To try it now: schtasks /run /tn pipeline     To remove it: schtasks /delete /tn pipeline
rem EDIT: the folder of this repository, twice, where `python tasks.py setup` creates .venv; day and time.
rem If there is a space in it, write \" before and after each of the two paths.
schtasks /create /tn pipeline /sc weekly /d MON /st 03:00 /tr "C:\Users\you\project\.venv\Scripts\python.exe C:\Users\you\project\tasks.py run -P steps=batch_scoring,monitoring -P hydra_options=main.on_alarm=retrain"
